"""The file that `visualize.page` writes: one file, safe, whole, and what a notebook shows of it."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from page_examples import network, two_paths

import tinygrad_edu as torch
import visualize
from tinygrad_edu import nn
from tinygrad_edu.errors import GraphvizNotFound
from visualize import page_svg, render
from visualize.theme import DARK, LIGHT

pytestmark = pytest.mark.skipif(not render.renderers(), reason="neither dot nor pygraphviz is installed")
EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def made() -> visualize.Page:
    loss, model = network()
    return visualize.page(loss, params=model, title="A <small> network & more")


def data_in(page: visualize.Page) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.S)[1])


def test_one_file_without_network(made: visualize.Page) -> None:
    text = made.html
    assert len(text.encode()) < 500_000
    assert not re.search(r"<(link|iframe|object|embed|base)\b|@import|url\(|<[^>]+\s(src|href|style|on\w+)=", text)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert (
        policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy and "http" not in policy
    )
    addresses = set(re.findall(r"https?://[^\"'\s<>]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}, addresses


def test_names_cannot_become_markup() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    y = x * w
    y.name = EVIL
    page = visualize.page(y.sum(), params={EVIL: w, "x<b>": x}, title=EVIL, subtitle=EVIL)
    assert "<img" not in page.html and page.html.count("</script") == 2
    assert EVIL in {n["name"] for n in data_in(page)["nodes"].values()}


def test_data_hold_every_number(made: visualize.Page) -> None:
    model = network()[1]
    data = data_in(made)
    for name, p in model.named_parameters():
        node = data["nodes"][name.replace(".", "_")]
        for what, array in (("value", p.detach().numpy()), ("grad", p.grad.numpy())):
            record = data["arrays"][node[what]]
            assert record["shape"] == list(array.shape)
            np.testing.assert_allclose(record["data"], array.reshape(-1), rtol=1e-6)
    assert data["nodes"]["op3"]["where"].startswith("tests/visualize/page_examples.py:") or data["nodes"]["op3"][
        "where"
    ].startswith("page_examples.py:")
    assert data["nodes"]["op3"]["line"] == "h1 = torch.sigmoid(self.layer1(x))"
    assert [v["label"] for v in data["views"]] == ["Modules", "Depth 1", "All operations"]


def test_a_deep_network_begins_with_an_overview() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(70)])
    loss = model(torch.randn(3, 2)).square().mean()
    data = data_in(visualize.page(loss, params=model))
    labels = [view["label"] for view in data["views"]]
    assert labels[0] == "Modules" and labels[-1] == "All operations"
    assert data["start"] < len(labels) - 1
    assert not data["views"][-1]["place"]  # every node is a box of its own


def test_numbers_that_json_has_not() -> None:
    x = torch.tensor([0.0, -1.0, 2.0], requires_grad=True)
    page = visualize.page(x.log().sum(), params={"x": x})
    data = data_in(page)
    log = next(n for n in data["nodes"].values() if n["title"] == "Log")
    assert data["arrays"][log["value"]]["data"][:2] == ["−Inf", "NaN"]


def test_large_arrays_are_cut_by_rows() -> None:
    w = torch.ones(300, 70, requires_grad=True)
    data = data_in(visualize.page((w * 2).sum(), params={"w": w}))
    record = data["arrays"][data["nodes"]["w"]["value"]]
    assert record["shape"] == [300, 70] and len(record["data"]) == 4096 // 70 * 70 and record["stats"][2] == 1


def test_every_edge_is_drawn_once(made: visualize.Page) -> None:
    data = data_in(made)
    whole = ElementTree.fromstring(re.findall(r"<svg[^>]* data-view.*?</svg>", made.html, re.S)[-1])
    drawn = [e for e in whole.iter() if "edge" in (e.get("class") or "").split()]
    for kind, wanted in (
        ("forward", set(range(len(data["edges"])))),
        ("backward", {s["edge"] for step in data["steps"] for s in step.get("shares", ())}),
    ):
        places = [int(k) for e in drawn if kind in e.get("class").split() for k in e.get("data-edges").split()]
        assert sorted(places) == sorted(wanted), kind


def test_parallel_edges_are_told_apart() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    page = visualize.page(x * x, params={"x": x})
    found = re.findall(r'class="edge (\w+)" data-edges="([\d ]*)"', page.html)
    assert sorted(found) == [("backward", "0"), ("backward", "1"), ("forward", "0"), ("forward", "1")]


def test_colours_have_a_name_in_both_themes() -> None:
    """Where two colours of the light theme are equal, so are those of the dark one, or the page could not switch."""
    light, dark = page_svg.variables(LIGHT), page_svg.variables(DARK)
    for names, left_out in ((page_svg.FILLS, {"background", "bad-line"}), (page_svg.LINES, set())):
        for name, colour in light.items():
            is_line = name.endswith("-line") or name in ("forward", "backward")
            if name in left_out or (names is page_svg.LINES and not is_line):
                continue
            assert dark[names[colour.lower()]] == dark[name], name


def test_writes_whole_files_only(tmp_path: Path) -> None:
    loss, params = two_paths()
    made = visualize.page(loss, tmp_path / "net.html", params=params)
    assert made.path == tmp_path / "net.html" and list(tmp_path.iterdir()) == [made.path]
    assert made.path.read_text(encoding="utf-8") == made.html
    with pytest.raises(ValueError, match=r"'.png'; choose one of .html"):
        visualize.page(loss, tmp_path / "net.png")
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        visualize.page(loss, tmp_path / "no" / "net.html")


def test_the_same_run_gives_the_same_page() -> None:
    first, second = (visualize.page(network()[0]) for _ in range(2))
    assert first.html == second.html


def test_in_a_notebook(made: visualize.Page) -> None:
    frame = made._repr_html_()
    inner = re.search(r'srcdoc="([^"]*)"', frame)[1]
    assert html.unescape(inner) == made.html and "allow-same-origin" not in frame
    assert re.fullmatch(r"<Page of \d+ steps, \d+ KB>", repr(made))


def test_without_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(render, "renderers", lambda: [])
    loss, params = two_paths()
    with pytest.raises(GraphvizNotFound, match=r"no Graphviz on this machine.*net.html.*pip install pygraphviz"):
        visualize.page(loss, tmp_path / "net.html", params=params)
    assert not list(tmp_path.iterdir())


def test_before_backward_no_grad_is_touched() -> None:
    loss, model = network(backward=False)
    page = visualize.page(loss, params=model)
    assert all(p.grad is None for p in model.parameters())
    assert all(n["grad"] >= 0 for n in data_in(page)["nodes"].values() if n["role"] == "param")
    loss.backward()
