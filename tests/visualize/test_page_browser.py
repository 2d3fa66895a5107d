"""The page in a real Chromium: every step by button and by key, numbers equal to the engine's, both themes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from page_browser import Browser, browser, program
from page_examples import Perceptron, network

import tinygrad_edu as torch
import visualize
from visualize import render

pytestmark = [
    pytest.mark.skipif(program() is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
    pytest.mark.skipif(not render.renderers(), reason="neither dot nor pygraphviz is installed"),
]
EVIL = "</script><img src=x onerror=\"document.title='broken'\">"
STEP = "Number(document.getElementById('scrub').value)"
SAY = "document.getElementById('say').textContent"


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def model() -> tuple[visualize.Page, Perceptron]:
    loss, model = network()
    return visualize.page(loss, params=model, title="A perceptron"), model


@pytest.fixture(scope="module")
def file(model: tuple[visualize.Page, Perceptron], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model[0].save(tmp_path_factory.mktemp("page") / "net.html")


@pytest.fixture(autouse=True)
def quiet(tab: Browser) -> Iterator[None]:
    """After each test: nothing on the console, nothing asked of the network."""
    yield
    assert not tab.errors
    assert all(url.startswith(("file:", "blob:", "about:")) for url in tab.requests), tab.requests
    assert sum(url.startswith("file:") for url in tab.requests) <= 1, tab.requests


def press(tab: Browser, id: str) -> None:
    tab.run(f"document.getElementById('{id}').click()")


def test_every_step_forward_and_backward_by_button_and_key(tab: Browser, file: Path, model: tuple) -> None:
    steps = model[0].steps
    last = len(steps) - 1
    tab.open(file)
    tab.run("document.body.focus()")
    for forward, back in (
        (lambda: tab.click("#next"), lambda: tab.click("#back")),
        (lambda: tab.key("ArrowRight"), lambda: tab.key("ArrowLeft")),
    ):
        assert tab.run(STEP) == 0
        for k in range(1, last + 1):
            forward()
            assert (tab.run(STEP), tab.run(SAY)) == (k, steps[k].sentence)
        assert tab.run("document.getElementById('next').disabled")
        for k in range(last - 1, -1, -1):
            back()
            assert (tab.run(STEP), tab.run(SAY)) == (k, steps[k].sentence)
        tab.run("document.activeElement.blur()")
    tab.key("End")
    assert tab.run(STEP) == last
    tab.key("Home")
    assert tab.run(STEP) == 0


def test_each_step_lights_its_node_and_its_edges(tab: Browser, file: Path, model: tuple) -> None:
    tab.open(file)
    for k, step in enumerate(model[0].steps):
        active = tab.run("[...document.querySelectorAll('svg.current g.active')].map(g => g.dataset.box)")
        assert active == ([step.vertex] if step.vertex else []), k
        lit = tab.run(
            "[...document.querySelectorAll('svg.current g.edge.lit')]"
            ".flatMap(g => g.dataset.edges.split(' ').map(Number))"
        )
        assert sorted(lit) == sorted(step.edges), k
        seen = tab.run(
            "(() => { const g = document.querySelector('svg.current g.active'); if (!g) return true;"
            "const a = g.getBoundingClientRect(), s = document.getElementById('stage').getBoundingClientRect();"
            "return a.left >= s.left && a.right <= s.right && a.top >= s.top && a.bottom <= s.bottom; })()"
        )
        assert seen, f"step {k}: the active node is outside the window"
        press(tab, "next")


def test_final_gradients_shown_are_the_engines(tab: Browser, file: Path, model: tuple) -> None:
    tab.open(file, "#step=999")
    for name, p in model[1].named_parameters():
        tab.run(
            f"document.querySelector('svg.current [data-box={name.replace('.', '_')}]')"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
        )
        tables = tab.run(
            "[...document.querySelectorAll('#detail .array')].map(a => [...a.querySelectorAll('td')].map(c => c.title))"
        )
        value, grad = (np.array(t, dtype=float) for t in tables)
        np.testing.assert_allclose(value, p.detach().numpy().reshape(-1), rtol=1e-6)
        np.testing.assert_allclose(grad, p.grad.numpy().reshape(-1), rtol=1e-6, err_msg=name)


def test_a_running_sum_is_seen(tab: Browser, file: Path, model: tuple) -> None:
    steps = model[0].steps
    first, second = (next(k for k, s in enumerate(steps) for m in s.shares if (m.nth, m.of) == (n, 2)) for n in (1, 2))
    node = next(m.source for m in steps[first].shares if m.of == 2)
    text = f"document.querySelector('svg.current [data-box={node}] text.f-gradient').textContent"
    tab.open(file, f"#step={first}")
    assert "1 of 2 paths" in tab.run("document.getElementById('card').textContent")
    assert tab.run(text).endswith("⊕…")
    tab.open(file, f"#step={second}")
    assert "in all" in tab.run("document.getElementById('card').textContent")
    assert "…" not in tab.run(text)


def test_gradients_appear_when_they_are_complete(tab: Browser, file: Path, model: tuple) -> None:
    hidden = "document.querySelector('svg.current [data-box=layer1_bias]').classList.contains('nogradient')"
    k = next(k for k, s in enumerate(model[0].steps) if any(m.source == "layer1_bias" for m in s.shares))
    for step, expected in ((1, True), (k - 1, True), (k, False), (0, False)):
        tab.open(file, f"#step={step}")
        assert tab.run(hidden) is expected, step


def test_play_and_pause(tab: Browser, file: Path) -> None:
    tab.open(file)
    tab.run("document.getElementById('speed').value = '4'; document.body.focus()")
    tab.key(" ")
    tab.wait(f"{STEP} >= 3")
    assert tab.run("document.getElementById('play').getAttribute('aria-label')") == "Pause"
    tab.key(" ")
    here = tab.run(STEP)
    tab.run("new Promise(done => setTimeout(done, 700))")
    assert tab.run(STEP) == here
    assert tab.run("document.getElementById('play').getAttribute('aria-label')") == "Play"


def test_a_link_to_a_step(tab: Browser, file: Path) -> None:
    tab.open(file, "#step=17")
    assert tab.run(STEP) == 17
    press(tab, "next")
    assert tab.run("location.hash") == "#step=18"
    tab.run("location.hash = '#step=5'")
    tab.wait(f"{STEP} === 5")
    tab.open(file, "#step=nonsense")
    assert tab.run(STEP) == 0


def test_copying_the_link(tab: Browser, file: Path) -> None:
    tab.open(file, "#step=7")
    tab.click("#link")
    assert tab.run("document.getElementById('link').textContent") == "Copied"
    tab.key("/")
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="v", code="KeyV", modifiers=2, commands=["paste"])
    assert tab.run("document.getElementById('search').value").endswith("net.html#step=7")


def test_predict_then_reveal(tab: Browser, file: Path, model: tuple) -> None:
    k = next(k for k, s in enumerate(model[0].steps) if s.phase == "backward") + 1
    tab.open(file, f"#step={k}")
    share = model[0].steps[k].shares[0]
    press(tab, "predict")
    assert tab.run(SAY) == f"{model[0].steps[k].title}: what does {share.name} receive? Predict it, then reveal."
    assert tab.run("document.querySelector('#card .share .number').textContent") == "?"
    assert tab.run("document.querySelector('.badge text').textContent") == "?"
    hidden = f"document.querySelector('svg.current [data-box={share.source}]').classList.contains('nogradient')"
    assert tab.run(hidden)
    tab.key("r")
    assert tab.run(SAY) == model[0].steps[k].sentence and not tab.run(hidden)
    press(tab, "next")
    assert tab.run("!!document.getElementById('reveal')")
    press(tab, "predict")
    assert not tab.run("!!document.getElementById('reveal')")


def test_detail_levels(tab: Browser, file: Path) -> None:
    tab.open(file, "#step=30")
    assert tab.run("[...document.querySelectorAll('#depth button')].map(b => b.textContent)") == [
        "Modules",
        "Depth 1",
        "All operations",
    ]
    tab.run("document.querySelector('#depth button').click()")
    assert tab.run("document.querySelectorAll('svg.current').length") == 1
    boxes = tab.run("[...document.querySelectorAll('svg.current g.node')].map(g => g.dataset.box)")
    assert "module Perceptron" in boxes and len(boxes) == 3
    assert tab.run("document.querySelector('svg.current g.active').dataset.box") == "module Perceptron"
    tab.run(
        "document.querySelector('svg.current [data-box=\"module Perceptron\"]')"
        ".dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))"
    )
    assert tab.run("document.querySelector('#depth [aria-pressed=true]').textContent") == "Depth 1"
    assert tab.run(STEP) == 30


def test_search(tab: Browser, file: Path) -> None:
    tab.open(file)
    tab.key("/")
    assert tab.run("document.activeElement.id") == "search"
    for letter in "sigmoid":
        tab.key(letter)
    assert tab.run("[...document.querySelectorAll('svg.current .match')].map(g => g.dataset.box)") == [
        "op1",  # made in the same line of code
        "op2",
        "op3",
    ]
    tab.key("Enter")
    assert tab.run("document.querySelector('#detail h2').textContent") == "Sigmoid: h₁"
    shown = tab.run("document.getElementById('detail').textContent")
    assert "h1 = torch.sigmoid(self.layer1(x))" in shown and "Why it is kept for backward" in shown
    tab.run("const s = document.getElementById('search'); s.value = 'zebra'; s.dispatchEvent(new Event('input'))")
    assert tab.run("document.getElementById('found').textContent") == "No node has these words."


def test_nodes_by_keyboard(tab: Browser, file: Path) -> None:
    tab.open(file)
    tab.run("document.querySelector('svg.current [data-box=op3]').focus()")
    tab.key("Enter")
    assert tab.run("document.querySelector('#detail h2').textContent") == "Sigmoid: h₁"
    assert tab.run(STEP) == 0
    tab.key("Escape")
    assert tab.run("document.getElementById('detail').children.length") == 0


def test_names_for_screen_readers(tab: Browser, file: Path) -> None:
    tab.open(file, "#step=25")
    tab.call("Accessibility.enable")
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    nameless = [
        n["role"]["value"]
        for n in tree
        if n.get("role", {}).get("value") in ("button", "slider", "searchbox", "combobox", "table", "region", "img")
        and not n.get("name", {}).get("value")
        and not n.get("ignored")
    ]
    assert not nameless
    names = {n.get("name", {}).get("value") for n in tree}
    assert {"Play", "Step", "Zoom in", "Playback", "Numbers"} <= names
    assert any(name and name.startswith("Sigmoid h₁, operation, (4, 4), value") for name in names)
    assert tab.run("document.getElementById('say').getAttribute('aria-live')") == "polite"


def test_focus_order_and_visible_focus(tab: Browser, file: Path) -> None:
    tab.open(file)
    order = []
    for _ in range(60):
        tab.key("Tab")
        order.append(tab.run("document.activeElement.id || document.activeElement.dataset?.box || ''"))
        if order[-1] == "link":
            break
    assert order[0] == "search" and order[-1] == "link"
    # step 0: First and Back can do nothing there and are passed over
    assert [i for i in order if i in ("predict", "theme", "stage", "op1", "zoom-in", "panel", "play", "scrub")] == [
        "predict", "theme", "stage", "op1", "zoom-in", "panel", "play", "scrub"
    ]  # fmt: skip
    assert tab.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2


CLIPPED = """(() => {
  const found = [];
  for (const e of document.querySelectorAll('header *, footer *, #panel *')) {
    if (!e.checkVisibility() || !e.textContent.trim() || e.closest('svg, select, code')) continue;
    const free = e.closest('.heat, #panel, #say, #found');
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth && getComputedStyle(e).overflowX !== 'visible' && e !== free)
      found.push(['wide', e.tagName, e.textContent.slice(0, 40)]);
    const r = e.getBoundingClientRect();
    if (r.width && (r.left < -1 || r.right > innerWidth + 1))
      found.push(['out', e.tagName, e.textContent.slice(0, 40)]);
  }
  for (const g of document.querySelectorAll('svg.current g.node')) {
    const frame = g.querySelector('path, polygon').getBBox();
    const texts = [...g.querySelectorAll('text')].filter(t => getComputedStyle(t).visibility === 'visible');
    const boxes = texts.map(t => t.getBBox());
    boxes.forEach((b, i) => {
      if (b.x < frame.x - 1 || b.x + b.width > frame.x + frame.width + 1) found.push(['node', texts[i].textContent]);
      boxes.forEach((o, j) => {
        if (i !== j && Math.abs(o.y - b.y) < 6 && o.x > b.x && b.x + b.width > o.x + 1.5)
          found.push(['overlap', texts[i].textContent, texts[j].textContent]);
      });
    });
  }
  return found;
})()"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (700, 900)])
def test_no_text_is_clipped_and_both_themes_read(
    tab: Browser, file: Path, model: tuple, theme: str, width: int, height: int
) -> None:
    tab.open(file, "", width, height, theme)
    for k in range(len(model[0].steps)):
        assert not tab.run(CLIPPED), k
        press(tab, "next")
    for k in range(2):
        tab.run(f"document.querySelectorAll('#depth button')[{k}].click()")
        assert not tab.run(CLIPPED), k
    dark = tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 26)"
    assert dark is (theme == "dark")
    press(tab, "theme")
    assert (tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 26)") is not dark


def test_files_to_take_away(tab: Browser, file: Path, tmp_path: Path) -> None:
    tab.open(file, "#step=20")
    session, tab.session = tab.session, ""
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    tab.session = session
    for kind in ("svg", "png", "dot"):
        press(tab, f"save-{kind}")
        made = tmp_path / f"A-perceptron.{kind}"
        for _ in range(300):
            if made.exists() and made.stat().st_size:
                break
            tab.run("new Promise(done => setTimeout(done, 20))")
    assert (tmp_path / "A-perceptron.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "var(" not in (tmp_path / "A-perceptron.svg").read_text(encoding="utf-8")
    assert (tmp_path / "A-perceptron.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "A-perceptron.dot").read_text(encoding="utf-8").startswith("digraph")


def test_the_picture_stands_without_script(tab: Browser, file: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(file, ready="true")
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    shown = "[...document.querySelectorAll('svg.view')].map(s => getComputedStyle(s).visibility)"
    assert tab.run(shown) == ["hidden", "hidden", "visible"]


def test_printing_shows_the_whole_picture(tab: Browser, file: Path) -> None:
    tab.open(file)
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.querySelector('.player')).display") == "none"
    assert tab.run("getComputedStyle(document.querySelector('svg.current')).position") == "static"
    tab.call("Emulation.setEmulatedMedia", media="")


def test_names_do_not_run(tab: Browser, tmp_path: Path) -> None:
    x, w = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    y = x * w
    y.name = EVIL
    visualize.page(y.sum(), tmp_path / "evil.html", params={EVIL: w, "x": x}, title=EVIL)
    tab.open(tmp_path / "evil.html")
    for _ in range(8):
        press(tab, "next")
    tab.run(
        "for (const g of document.querySelectorAll('g.node')) g.dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert tab.run("document.title") == EVIL and tab.run("document.images.length") == 0
    assert EVIL in json.dumps(tab.run("document.body.textContent"), ensure_ascii=False).replace('\\"', '"')


def test_inside_a_notebook(tab: Browser, model: tuple, tmp_path: Path) -> None:
    """The frame of `_repr_html_` in a page of its own: it plays, and its policy and its sandbox stay quiet."""
    outer = tmp_path / "notebook.html"
    outer.write_text("<!DOCTYPE html><meta charset=utf-8>" + model[0]._repr_html_(), encoding="utf-8")
    tab.open(outer, ready="!!document.querySelector('iframe')")
    tab.run("new Promise(done => setTimeout(done, 500))")
    before = tab.picture(tmp_path / "before.png").read_bytes()
    tab.click("iframe")
    for _ in range(3):
        tab.key("ArrowRight")
    tab.run("new Promise(done => setTimeout(done, 300))")
    assert tab.picture(tmp_path / "after.png").read_bytes() != before
