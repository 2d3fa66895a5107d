"""The reference: every public name is there and says something, every op has a picture, no link is dead."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest

import visualize
from tinygrad_edu import reference
from tinygrad_edu.ops.registry import registry

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """The ids, links and sources of a page, and its words; unclosed elements are an error."""

    VOID = {"meta", "link", "input", "br", "img", "hr"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[key] for key in ("href", "src") if key in found]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, str(ROOT / "docs" / "make_docs.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(folder):
    return {path.name: Page(path.read_text(encoding="utf-8")) for path in folder.glob("*.html")}


def all_sections():
    return reference.sections((visualize, "Pictures"))


def test_every_public_name_says_something():
    assert reference.without_docstring(all_sections()) == []


def test_a_name_without_a_docstring_is_found():
    silent = reference.Section("m", "M", "", (reference.entry_of("f", lambda x: x), reference.entry_of("len", len)))
    assert reference.without_docstring([silent]) == ["m.f"]


def test_every_public_name_has_its_place(pages):
    for section in all_sections():
        page = pages[f"{section.name.removeprefix('tinygrad_edu.')}.html"]
        public = getattr(import_module(section.name), "__all__", ()) if section.name != "tinygrad_edu.Tensor" else ()
        assert {name for name in public if not name.startswith("_")} <= set(page.ids), section.name
        assert section.entries


def test_every_op_has_its_page_with_formula_rules_code_and_picture(folder, pages):
    for name, op in registry.items():
        page, text = pages[f"op-{name}.html"], (folder / f"op-{name}.html").read_text(encoding="utf-8")
        for left, right in reference.formulas_of(op):
            assert left in page.words and right in page.words, name
        assert f"def {name}" in page.words, name
        assert not op.rules or f"{name}.backward" in page.words, name
        assert "<figure><svg" in text and "var(--gradient)" in text, name


def test_no_link_is_dead_and_nothing_comes_from_the_network(folder, pages):
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for link in page.links:
            path, _, anchor = link.partition("#")
            assert "//" not in link, (name, link)
            assert not path or (folder / path).is_file(), (name, link)
            target = pages.get(path or name)
            assert not anchor or target is None or anchor in target.ids, (name, link)


def test_the_search_knows_every_name(folder):
    names = (folder / "names.js").read_text(encoding="utf-8")
    for name in ("conv2d (op)", "nn.Linear", "Tensor.backward", "visualize.gradient_flow", "optim.Adam"):
        assert f'"{name}"' in names, name


def test_signatures_read_as_written():
    def f(x: int, y: str = "a", *, z: tuple[int, ...] = ()) -> str | None:
        """A function."""

    assert reference.signature_of(f) == "(x: int, y: str = 'a', *, z: tuple[int, ...] = ()) -> str | None"
    entry = reference.entry_of("graph", visualize.graph)
    assert "theme: str = 'light'" in entry.signature and entry.signature.endswith("-> Drawing")
    assert re.fullmatch(r"visualize/graph\.py:\d+", entry.source)
