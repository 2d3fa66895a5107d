"""Judge every formula of the five coursework reports.        python demos/derivations/check.py        (ten seconds)

Each is compared with the engine's own derivative at random float64 inputs of several sizes; for a wrong one the slip is
looked for among standard repairs, each of which is tried. Written to the folder: a page (.html) and a table (.md) per
report, and the graph of each derivation (.png) with the wrong steps red. A wrong formula is a finding, not a failure.
"""

from __future__ import annotations

import argparse
import html
import importlib
import re
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import visualize
from visualize.files import write_atomically
from visualize.report import page_of

REPORTS = ("000", "001", "002", "003", "004")


def check(number: str, seed: int = 0) -> list[Any]:
    """What the tool finds in one report: a Checked per derivation."""
    report = importlib.import_module(f"report{number}")
    return [derivation.check(seed=seed) for derivation in report.derivations()]


def remarks(number: str) -> list[str]:
    """What else a report has to say; most have nothing."""
    found: list[str] = getattr(importlib.import_module(f"report{number}"), "remarks", list)()
    return found


def slug(title: str) -> str:
    """A title as part of a file name."""
    return re.sub(r"\W+", "_", title.lower()).strip("_")


def right_and_wrong(found: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """All verdicts of a report, the right and the wrong."""
    verdicts = [verdict for checked in found for verdict in checked.verdicts]
    return [v for v in verdicts if v.right], [v for v in verdicts if not v.right]


def table(number: str, found: list[Any]) -> str:
    """The verdicts of a report in Markdown."""
    parts = [f"# Report {number}"] + [f"## {checked.name}\n\n{checked._repr_markdown_()}" for checked in found]
    return "\n\n".join(parts) + "\n"


def write(number: str, found: list[Any], out: Path, theme: str) -> list[Path]:
    """The files of one report: pictures, page and table."""
    paths, sections = [], []
    for checked in found:
        drawn = visualize.report(checked, theme=theme)
        paths.append(drawn.render(out / f"report{number}_{slug(checked.name)}.png"))
        sections.append(f"<h2>{html.escape(checked.name)}</h2>\n{drawn.section}")
    for suffix, text in (
        (".html", page_of(f"Report {number}", "\n".join(sections), theme)),
        (".md", table(number, found)),
    ):
        paths.append(write_atomically(out / f"report{number}{suffix}", partial(writing, text)))
    return paths


def writing(text: str, path: Path) -> None:
    """Write text in UTF-8."""
    path.write_text(text, encoding="utf-8")


def summary(results: dict[str, list[Any]]) -> str:
    """How many formulas of each report are right, and which are not."""
    lines, total, bad = [], 0, 0
    for number, found in results.items():
        right, wrong = right_and_wrong(found)
        total, bad = total + len(right) + len(wrong), bad + len(wrong)
        lines.append(f"report {number}: {len(right) + len(wrong)} checked, {len(wrong)} wrong")
        lines += [f"    {v.label:<12}  {v.words}" for v in wrong]
        lines += [f"    {v.label:<12}  right, but {v.carried}" for v in right if v.carried]
    return "\n".join([*lines, f"in all: {total} checked, {total - bad} right, {bad} wrong"])


def main(arguments: list[str] | None = None) -> dict[str, list[Any]]:
    """Check the reports asked for, print the verdicts, write the pictures; returns what was found by report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", choices=REPORTS, help="one report only")
    parser.add_argument("--out", default="out/derivations", help="folder for the results")
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="of pictures and pages")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs")
    given = parser.parse_args(arguments)
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[Any]] = {}
    for number in [given.report] if given.report else REPORTS:
        results[number] = check(number, given.seed)
        print(f"== report {number} ==\n")
        for checked in results[number]:
            print(checked, end="\n\n")
        for line in remarks(number):
            print(line)
        for path in write(number, results[number], out, given.theme):
            print(f"wrote {path}")
        print()
    print(summary(results))
    return results


if __name__ == "__main__":
    main(sys.argv[1:])
