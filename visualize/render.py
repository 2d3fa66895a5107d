"""DOT text to pictures: the `dot` program if there is one, else the Graphviz inside pygraphviz, else a clear error."""

from __future__ import annotations

import html
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from tinygrad_edu.errors import GraphvizNotFound

from .files import output_path, write_atomically

SUFFIXES = (".png", ".svg", ".pdf", ".dot", ".gv")
TIMEOUT = 120.0

# pygraphviz runs in a Python of its own: Graphviz writes its complaints to the C-level stderr, keeps global state,
# and a layout that takes too long could not be stopped inside this process.
_PYGRAPHVIZ = """
import sys, pygraphviz
with open(sys.argv[1], encoding="utf-8") as file:
    graph = pygraphviz.AGraph(string=file.read(), encoding="UTF-8")
graph.layout(prog="dot")
for target in sys.argv[2:]:
    graph.draw(target, format=target.rsplit(".", 1)[1])
"""


def renderers() -> list[str]:
    """The renderers on this machine, the preferred one first: "dot", "pygraphviz"."""
    found = ["dot"] if shutil.which("dot") else []
    return found + (["pygraphviz"] if importlib.util.find_spec("pygraphviz") is not None else [])


def render(
    source: str,
    path: str | os.PathLike[str],
    *,
    expect: str = "",
    renderer: str | None = None,
    timeout: float = TIMEOUT,
    fewer: str = "",
) -> Path:
    """Write the DOT text `source` to `path` as PNG, SVG, PDF or DOT, by its suffix; returns the path.

    `expect` is a word the picture must contain: Graphviz without HTML support would silently print bare ids.
    `fewer` says how to draw fewer nodes, for the message when there are too many.
    Errors: ValueError (suffix), OSError (folder), RuntimeError (Graphviz failed; says what it printed),
    GraphvizNotFound (no renderer; the DOT text is saved beside `path`).
    """
    target = output_path(path, SUFFIXES, "visualize")
    if target.suffix.lower() in (".dot", ".gv"):
        return write_atomically(target, lambda file: file.write_text(source, encoding="utf-8"))
    chosen = renderer or next(iter(renderers()), None)
    if chosen is None:
        saved = write_atomically(target.with_suffix(".dot"), lambda file: file.write_text(source, encoding="utf-8"))
        raise GraphvizNotFound(not_found(target, saved))
    picture = run(source, target.suffix.lower()[1:], expect=expect, renderer=chosen, timeout=timeout, fewer=fewer)
    return write_atomically(target, lambda file: file.write_bytes(picture))


def run(source: str, kind: str, *, expect: str = "", renderer: str, timeout: float = TIMEOUT, fewer: str = "") -> bytes:
    """The picture as bytes, made by one renderer in a temporary folder; RuntimeError with its messages if it fails."""
    with tempfile.TemporaryDirectory(prefix="visualize-") as folder:
        text, svg, wanted = Path(folder, "graph.dot"), Path(folder, "check.svg"), Path(folder, f"picture.{kind}")
        text.write_text(source, encoding="utf-8")
        # One layout, two outputs: what a bitmap says can only be checked on the SVG of the same layout.
        if renderer == "dot":
            command = [shutil.which("dot") or "dot", "-Tsvg", f"-o{svg}", f"-T{kind}", f"-o{wanted}", str(text)]
        elif renderer == "pygraphviz":
            command = [sys.executable, "-c", _PYGRAPHVIZ, str(text), str(svg), str(wanted)]
        else:
            raise ValueError(f"visualize: renderer is {renderer!r}; choose 'dot' or 'pygraphviz'")
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=timeout, check=False, cwd=folder, env=_environment(folder)
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(
                f"visualize: {renderer} needed more than {timeout:g} s; allow more time"
                + (f" or {fewer}" if fewer else "")
            ) from error
        said = done.stderr.decode("utf-8", "replace").strip()
        complaint = re.search(r"^Error|syntax error|in label of|not built with", said, re.MULTILINE)
        if done.returncode or complaint or not wanted.exists() or not wanted.stat().st_size or not svg.exists():
            raise RuntimeError(f"visualize: {renderer} failed (exit code {done.returncode}): {said or 'no message'}")
        if expect and expect not in _texts(svg.read_text(encoding="utf-8")):
            raise RuntimeError(
                f"visualize: the picture made by {renderer} lacks the text {expect!r}: this Graphviz draws no "
                f"HTML-like labels (built without expat). {said}".rstrip()
            )
        _warn_if_shrunk(said, fewer)
        return whole(wanted.read_bytes()) if kind == "svg" else wanted.read_bytes()


def whole(svg: bytes) -> bytes:
    """The SVG with all of its picture inside its frame.

    Where dpi is not 72, Graphviz 2.43 scales the drawing but not the viewBox, which then cuts off what lies beyond.
    """
    frame = re.search(rb'<svg width="([\d.]+)pt"[^>]*?viewBox="0\.00 0\.00 ([\d.]+) [\d.]+"', svg, re.DOTALL)
    drawing = re.search(rb'class="graph" transform="scale\(([\d.]+) [\d.]+\)', svg)
    if frame is None or drawing is None:
        return svg
    width, inside, scale = float(frame[1]), float(frame[2]), float(drawing[1])
    if scale <= 1 or abs(inside * scale - width) > 0.02 * width:
        return svg
    return svg.replace(drawing[0], b'class="graph" transform="scale(1 1)', 1)


def not_found(target: Path, saved: Path) -> str:
    """What to do without a renderer, for this operating system."""
    return (
        f"visualize: no Graphviz on this machine, so {str(target)!r} was not drawn. The DOT text is in {str(saved)!r}. "
        f"Install Graphviz with:  {install_command()}   or, without leaving Python:  pip install pygraphviz   "
        f"Then render again, or run:  dot -T{target.suffix[1:]} '{saved}' -o '{target}'"
    )


def install_command() -> str:
    """The command that installs Graphviz on this operating system."""
    system = platform.system()
    if system == "Darwin":
        return "brew install graphviz"
    if system == "Windows":
        return "winget install graphviz"
    commands = {
        "apt-get": "sudo apt install graphviz",
        "dnf": "sudo dnf install graphviz",
        "pacman": "sudo pacman -S graphviz",
        "zypper": "sudo zypper install graphviz",
        "apk": "sudo apk add graphviz font-dejavu",
    }
    known = next((command for program, command in commands.items() if shutil.which(program)), None)
    return known or "sudo apt install graphviz   (dnf, pacman, zypper, apk have the same package)"


def _texts(svg: str) -> str:
    """All text of an SVG, entities resolved, spaces plain."""
    text = " ".join(html.unescape(part) for part in re.findall(r"<text\b[^>]*>([^<]*)</text>", svg))
    return text.replace("\u00a0", " ")


def _warn_if_shrunk(said: str, fewer: str = "") -> None:
    """Cairo shrinks a bitmap above 32 767 pixels and says so only on stderr."""
    match = re.search(r"too large for cairo-renderer bitmaps.*?Scaling by ([0-9.]+)", said, re.DOTALL)
    if match:
        warnings.warn(
            f"visualize: the picture is too large for a PNG and was shrunk to {float(match[1]):.0%}; "
            "save it as .svg or .pdf" + (f", or {fewer}" if fewer else ""),
            stacklevel=5,
        )


def _environment(folder: str) -> dict[str, str]:
    """The environment of a renderer: on Linux, fontconfig also finds the DejaVu fonts that Matplotlib carries.

    A bare machine has no fonts at all, and a picture without glyphs is a picture of empty boxes.
    """
    environment = dict(os.environ)
    spec = importlib.util.find_spec("matplotlib")
    if platform.system() != "Linux" or "FONTCONFIG_FILE" in environment or spec is None or spec.origin is None:
        return environment
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    if not fonts.is_dir():
        return environment
    configuration = Path(folder, "fonts.conf")
    configuration.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
        f'<dir>{html.escape(str(fonts))}</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>',
        encoding="utf-8",
    )
    environment["FONTCONFIG_FILE"] = str(configuration)
    return environment
