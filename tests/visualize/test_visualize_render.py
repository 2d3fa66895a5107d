"""Pictures on disk: every renderer there is, whole files or none, errors that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import visualize_records as records
from PIL import Image

import visualize
from tinygrad_edu.errors import GraphvizNotFound
from visualize import files, render

RENDERERS = render.renderers()
needs_renderer = pytest.mark.skipif(not RENDERERS, reason="neither dot nor pygraphviz is installed")


@pytest.fixture(scope="module")
def drawing() -> visualize.Drawing:
    return visualize.graph(records.batchnorm(), direction="LR", title="Batch <normalization> & ε")


def texts(path: Path) -> str:
    return render._texts(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_png_is_a_picture(renderer: str, theme: str, tmp_path: Path) -> None:
    path = visualize.graph(records.network(), theme=theme).render(tmp_path / "net.png", renderer=renderer)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] > 1000 and pixels.shape[1] > 600
    assert len(np.unique(pixels[::3, ::3].reshape(-1, 3), axis=0)) > 50
    assert (pixels[2, 2] > 200).all() if theme == "light" else (pixels[2, 2] < 40).all()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_svg_carries_text_ids_and_classes(renderer: str, drawing: visualize.Drawing, tmp_path: Path) -> None:
    path = drawing.render(tmp_path / "bn.svg", renderer=renderer)
    svg, text = path.read_text(encoding="utf-8"), texts(path)
    assert "Batch <normalization> & ε" in text and "∇⊕ 0.317" in text and "Σ dy · x̂" in text
    assert 'id="node_op2"' in svg and 'class="node op saved sum"' in svg
    assert 'class="edge backward"' in svg and 'id="scope_batch_statistics"' in svg


@pytest.mark.parametrize("renderer", RENDERERS)
def test_odd_names_survive_the_renderer(renderer: str, tmp_path: Path) -> None:
    path = visualize.graph(records.odd_names(), direction="TB").render(tmp_path / "odd.svg", renderer=renderer)
    text = texts(path)
    assert "<b>&\"x'" in text and 'a<b && c>"d"' in text and "\\N\\G" in text and "🚀" in text


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("kind", ["network", "conv_blocks", "closed", "chain"])
def test_every_kind_of_graph_renders(renderer: str, kind: str, tmp_path: Path) -> None:
    drawing = {
        "network": lambda: visualize.graph(records.network(backward=False), labels=True),
        "conv_blocks": lambda: visualize.graph(records.conv_blocks(1, broken=True), theme="dark"),
        "closed": lambda: visualize.graph(records.conv_blocks(5), depth=1),
        "chain": lambda: visualize.graph(records.chain(2_000)),
    }[kind]()
    assert drawing.render(tmp_path / "g.svg", renderer=renderer).stat().st_size > 1_000


@needs_renderer
def test_pdf_and_dot(drawing: visualize.Drawing, tmp_path: Path) -> None:
    assert drawing.render(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert drawing.render(str(tmp_path / "a.dot")).read_text(encoding="utf-8") == drawing.source


def test_unknown_suffix_lists_the_known(drawing: visualize.Drawing, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'.jpg'; choose one of .png, .svg, .pdf, .dot"):
        drawing.render(tmp_path / "a.jpg")


def test_folders_that_do_not_work(drawing: visualize.Drawing, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; create it first: mkdir -p"):
        drawing.render(tmp_path / "missing" / "a.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        drawing.render(tmp_path / "file" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        drawing.render(tmp_path / "b.png")


def test_a_folder_without_permission(
    drawing: visualize.Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # as root every folder can be written
    with pytest.raises(PermissionError, match="may not write into"):
        drawing.render(tmp_path / "a.png")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_failing_render_leaves_the_old_file(renderer: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    for broken in ("digraph { a -> ", "digraph { a [label=<<I></I>>] }"):
        with pytest.raises(RuntimeError, match=f"{renderer} failed"):
            render.render(broken, path, renderer=renderer)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@needs_renderer
def test_a_picture_without_the_expected_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lacks the text 'value'"):
        render.render("digraph { bare }", tmp_path / "a.svg", expect="value")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half(file: Path) -> None:
        file.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, half)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [PermissionError, FileNotFoundError, OSError])
def test_a_failing_write_names_the_path_that_was_asked_for(
    kind: type[OSError], drawing: visualize.Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind(5, "for some reason", str(tmp_path / ".a.xyz123.dot"))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(kind) as caught:
        drawing.render(tmp_path / "a.dot")
    assert str(caught.value) == f"cannot write {str(tmp_path / 'a.dot')!r}: for some reason; choose another folder"
    assert type(caught.value) is type(kind(5, "")) and caught.value.errno == 5


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_proc_takes_no_file() -> None:
    with pytest.raises(OSError, match="'/proc/x.png'.*choose another folder"):
        visualize.curves([1.0], "/proc/x.png")


def test_a_slow_renderer_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_PYGRAPHVIZ", "import time; time.sleep(60)")
    with pytest.raises(RuntimeError, match=r"more than 0\.5 s"):
        render.render("digraph {}", tmp_path / "a.png", renderer="pygraphviz", timeout=0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "program", "command"),
    [
        ("Linux", "apt-get", "sudo apt install graphviz"),
        ("Linux", "dnf", "sudo dnf install graphviz"),
        ("Darwin", "", "brew install graphviz"),
        ("Windows", "", "winget install graphviz"),
    ],
)
def test_without_a_renderer_the_dot_text_is_saved(
    drawing: visualize.Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, program: str, command: str
) -> None:
    monkeypatch.setattr(render, "renderers", list)
    monkeypatch.setattr(render, "platform", SimpleNamespace(system=lambda: system))
    monkeypatch.setattr("shutil.which", lambda name: name if name == program else None)
    with pytest.raises(GraphvizNotFound) as caught:
        drawing.render(tmp_path / "net.png")
    message = str(caught.value)
    assert command in message and "pip install pygraphviz" in message and str(tmp_path / "net.dot") in message
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == drawing.source
    assert not (tmp_path / "net.png").exists()
    bundle = drawing._repr_mimebundle_()
    assert list(bundle) == ["text/plain"] and command in bundle["text/plain"]


def test_renderers_are_found_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert render.renderers() == ["dot", "pygraphviz"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert render.renderers() == ["pygraphviz"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert render.renderers() == []


@needs_renderer
def test_notebooks_get_svg(drawing: visualize.Drawing) -> None:
    bundle = drawing._repr_mimebundle_()
    assert "<svg" in bundle["image/svg+xml"] and "Drawing of 13 nodes" in bundle["text/plain"]


def test_a_shrunk_bitmap_is_announced() -> None:
    said = "dot: graph is too large for cairo-renderer bitmaps. Scaling by 0.32 to fit"
    with pytest.warns(UserWarning, match="shrunk to 32%") as caught:
        render._warn_if_shrunk(said)
    assert "depth" not in str(caught[0].message)
    with pytest.warns(UserWarning, match="or draw fewer nodes with depth=0"):
        render._warn_if_shrunk(said, visualize.graph(records.conv_blocks(1))._fewer)
    assert visualize.graph(records.chain(3))._fewer == ""


def test_importing_visualize_is_cheap() -> None:
    import subprocess

    code = "import sys, visualize; print([m for m in ('matplotlib', 'graphviz', 'pygraphviz') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_bare_machine_draws_with_the_fonts_of_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "platform", SimpleNamespace(system=lambda: "Linux"))
    monkeypatch.delenv("FONTCONFIG_FILE", raising=False)
    environment = render._environment(str(tmp_path))
    assert "mpl-data" in Path(environment["FONTCONFIG_FILE"]).read_text(encoding="utf-8")
    monkeypatch.setenv("FONTCONFIG_FILE", "/the/users/own.conf")
    assert render._environment(str(tmp_path))["FONTCONFIG_FILE"] == "/the/users/own.conf"


def test_the_frame_of_an_svg_holds_the_whole_picture():
    """Graphviz 2.43 scales what is inside by dpi / 72, but not the viewBox."""
    inside = '<g id="graph0" class="graph" transform="scale(1.5 1.5) rotate(0) translate(4 96)"></g></svg>'
    cut = f'<svg width="300pt" height="150pt"\n viewBox="0.00 0.00 200.00 100.00">{inside}'.encode()
    assert b"scale(1 1)" in render.whole(cut)
    right = f'<svg width="200pt" height="100pt"\n viewBox="0.00 0.00 300.00 150.00">{inside}'.encode()
    assert render.whole(right) == right
    assert render.whole(b"<svg>") == b"<svg>"
