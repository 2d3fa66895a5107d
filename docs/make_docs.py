"""Writes the reference as HTML pages that open without a network.        python docs/make_docs.py out/docs

A page per module with every public name, a page per op with formula, backward rules, code and a picture, and an index.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pictures import pictures

import visualize
from tinygrad_edu import ops  # noqa: F401  (registers every op)
from tinygrad_edu.ops.registry import Op, registry
from tinygrad_edu.reference import (
    Entry,
    Section,
    code_of,
    formulas_of,
    sections,
    signature_of_op,
    summary_of,
    without_docstring,
)
from visualize.page_svg import stylesheet

HERE = Path(__file__).parent


def file_of(section: Section) -> str:
    """ "nn.functional.html"."""
    return f"{section.name.removeprefix('tinygrad_edu.')}.html"


def links_of(pages: list[Section]) -> dict[str, str]:
    """What `code` in a docstring may link to: every name, short and with its module in front; ops last."""
    found: dict[str, str] = {}
    for page in pages:
        short = page.name.removeprefix("tinygrad_edu.")
        found.setdefault(short, file_of(page))
        for entry in page.entries:
            target = f"{file_of(page)}#{entry.name}"
            found[f"{short}.{entry.name}"] = target
            if page.name != "tinygrad_edu.Tensor":
                found.setdefault(entry.name, target)
    for name in registry:
        found.setdefault(name, f"op-{name}.html")
    return found


def linked(text: str, links: Mapping[str, str]) -> str:
    """Escaped text; `names` in backticks become code, and links where they are known."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        name = html.unescape(code).split("(")[0].strip().removeprefix("tinygrad_edu.").removeprefix("torch.")
        target = links.get(name)
        return f'<a href="{target}"><code>{code}</code></a>' if target else f"<code>{code}</code>"

    return re.sub(r"`([^`\n]+)`", one, html.escape(text, quote=False))


def doc_html(doc: str, links: Mapping[str, str]) -> str:
    """A docstring: its first paragraph as a sentence, the rest with its lines and columns as they were written."""
    first, _, rest = doc.strip().partition("\n\n")
    body = f"<p>{linked(' '.join(first.split()), links)}</p>"
    return body + (f'<pre class="doc">{linked(rest.rstrip(), links)}</pre>' if rest.strip() else "")


def entry_html(entry: Entry, links: Mapping[str, str], prefix: str = "", level: int = 3) -> str:
    """One name: signature, docstring, where its code is; for a class also its methods."""
    anchor = f"{prefix}{entry.name}"
    call = f"<b>{html.escape(anchor)}</b>{html.escape(entry.signature)}"
    parts = [f'<section class="entry" id="{anchor}"><h{level}><a class="mark" href="#{anchor}"><code>{call}</code></a>']
    parts.append(f'<span class="kind">{entry.kind}</span></h{level}>')
    if entry.same_as:
        parts.append(f'<p>Another name of <a href="#{entry.same_as}"><code>{entry.same_as}</code></a>.</p>')
    else:
        parts.append(doc_html(entry.doc, links))
        if entry.op:
            parts.append(f'<p><a href="op-{entry.op}.html">Formula, rules, code and picture of the op</a></p>')
        parts += [entry_html(member, links, f"{anchor}.", 4) for member in entry.members]
        if entry.source:
            parts.append(f'<p class="source">{html.escape(entry.source)}</p>')
    return "".join(parts) + "</section>"


def section_html(section: Section, links: Mapping[str, str]) -> str:
    """The page of one module."""
    names = " ".join(f'<a href="#{e.name}"><code>{e.name}</code></a>' for e in section.entries)
    entries = "".join(entry_html(entry, links) for entry in section.entries)
    return (
        f"<h1>{section.title}</h1><p class='path'><code>{section.name}</code></p>{doc_html(section.doc, links)}"
        f'<nav class="names" aria-label="names on this page">{names}</nav>{entries}'
    )


def op_html(op: Op, picture: str | None, users: list[str], links: Mapping[str, str]) -> str:
    """The page of one op."""
    rows = "".join(
        f"<tr><th>{html.escape(left)}</th><td>{html.escape(right)}</td></tr>" for left, right in formulas_of(op)
    )
    kind = "elementwise, broadcasting" if op.elementwise else "a view" if op.view else "with a shape rule of its own"
    if op.joint is not None:
        kind += "; fused: one rule for all inputs, beside the composition it stands for"
    called = ", ".join(f'<a href="{links[name]}"><code>{name}</code></a>' for name in users if name in links)
    figure = f"<figure>{picture}</figure>" if picture else "<p>It has no gradient, so it is never on a graph.</p>"
    return (
        f"<h1>{op.name} <span class='symbol'>{html.escape(op.symbol)}</span></h1>"
        f"<p class='path'><code>{op.name}{html.escape(signature_of_op(op))}</code> · {kind}</p>"
        f"{doc_html(summary_of(op), links)}"
        f"<table class='formulas'>{rows}</table>{figure}"
        + (f"<p>Called as {called}</p>" if called else "")
        + f"<h2>Its definition</h2><p class='source'>{op.__module__}</p><pre>{html.escape(code_of(op))}</pre>"
    )


def index_html(pages: list[Section]) -> str:
    """The front page: every page with its size, and every op with its formula."""
    rows = "".join(
        f'<tr><td><a href="{file_of(p)}"><code>{p.name}</code></a></td><td>{p.title}</td><td>{len(p.entries)}</td></tr>'
        for p in pages
    )
    table = "".join(
        f'<tr><td><a href="op-{name}.html"><code>{name}</code></a></td><td>{html.escape(registry[name].symbol)}</td>'
        f"<td>{html.escape(dict(formulas_of(registry[name])).get('out', ''))}</td></tr>"
        for name in sorted(registry)
    )
    return (
        "<h1>tinygrad_edu</h1><p>The reference, made from the docstrings and the registry of ops. "
        "Type a name above to find it.</p>"
        f"<h2>Pages</h2><table><tr><th>module</th><th></th><th>names</th></tr>{rows}</table>"
        f"<h2>Every op</h2><table><tr><th>op</th><th>symbol</th><th>out</th></tr>{table}</table>"
    )


def document(title: str, body: str, pages: list[Section], here: str) -> str:
    """A whole page around `body`."""
    items = [("index.html", "Index")] + [(file_of(p), p.name.removeprefix("tinygrad_edu.")) for p in pages]
    menu = "".join(
        f'<a href="{path}"{" aria-current=page" if path == here else ""}>{html.escape(name)}</a>'
        for path, name in items
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)} · tinygrad_edu</title><link rel='stylesheet' href='style.css'></head><body>"
        '<aside><label for="find">Find a name</label><input id="find" type="search" placeholder="conv2d" '
        f'autocomplete="off"><div id="found" role="status"></div><nav aria-label="pages">{menu}</nav></aside>'
        f'<main>{body}</main><script src="names.js"></script><script src="find.js"></script></body></html>'
    )


def main(arguments: list[str] | None = None) -> Path:
    """Write all pages; returns the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", default="out/docs", help="folder for the pages (out/docs)")
    out = Path(parser.parse_args(arguments).out)
    started = time.perf_counter()
    pages = sections((visualize, "Pictures"))
    silent = without_docstring(pages)
    if silent:
        raise SystemExit("these have no docstring: " + ", ".join(silent))
    links = links_of(pages)
    users: dict[str, list[str]] = {}
    for page in pages:
        for entry in page.entries:
            if entry.op:
                users.setdefault(entry.op, []).append(f"{page.name.removeprefix('tinygrad_edu.')}.{entry.name}")
    drawn = pictures(registry.values())
    out.mkdir(parents=True, exist_ok=True)
    files = {"index.html": document("Index", index_html(pages), pages, "index.html")}
    for page in pages:
        files[file_of(page)] = document(page.name, section_html(page, links), pages, file_of(page))
    for name, op in registry.items():
        body = op_html(op, drawn.get(name), users.get(name, []), links)
        files[f"op-{name}.html"] = document(f"{name} (op)", body, pages, f"op-{name}.html")
    names = sorted((name, target) for name, target in links.items())
    names += [(f"{name} (op)", f"op-{name}.html") for name in sorted(registry)]
    files["names.js"] = f"const NAMES = {json.dumps(names, ensure_ascii=False)};\n"
    files["style.css"] = stylesheet() + "\n" + (HERE / "style.css").read_text(encoding="utf-8")
    files["find.js"] = (HERE / "find.js").read_text(encoding="utf-8")
    for path, text in files.items():
        (out / path).write_text(text, encoding="utf-8")
    count = sum(len(page.entries) for page in pages)
    seconds = time.perf_counter() - started
    print(f"{count} names, {len(registry)} ops, {len(drawn)} pictures in {seconds:.0f} s: {out / 'index.html'}")
    return out


if __name__ == "__main__":
    main(sys.argv[1:])
