"""`visualize.animate`: the steps of a computation as a film for slides, GIF or MP4."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_edu.autograd.tape import tape_of
from tinygrad_edu.errors import GraphvizNotFound

from . import render as rendering
from .files import output_path, write_atomically
from .film import Film, mixed, rgb
from .graph import _names, graph
from .page import with_gradients
from .page_svg import variables
from .tape import steps_of
from .theme import Theme, theme_named

if TYPE_CHECKING:
    from PIL.Image import Image

FRAMES = 400  # steps of one film: at one a second nearly seven minutes


def animate(
    output: Any,
    path: str | os.PathLike[str],
    *,
    params: Any = None,
    fps: float = 1.0,
    theme: str = "light",
    size: tuple[int, int] = (1280, 800),
    title: str | None = None,
    subtitle: str | None = None,
    direction: str | None = None,
    depth: int | None = None,
    gradient: Any = None,
    renderer: str | None = None,
) -> Path:
    """The computation behind `output`, forward and back, as a film: one picture for each step.  Returns the path.

    path       .gif, or .mp4 (needs the program ffmpeg)
    fps        steps for each second     size   pixels, width and height (even numbers for .mp4)
    params, title, subtitle, direction, depth, theme   as in `visualize.graph`; gradient as in `visualize.page`
    Errors: ValueError (suffix, fps, size, theme, more than 400 steps), OSError (folder), GraphError for a tensor
    without a graph, GraphvizNotFound, RuntimeError (no ffmpeg, or a program failed).  The file appears whole or not
    at all.
    """
    target = output_path(path, (".gif", ".mp4"), "visualize.animate")
    if not (math.isfinite(fps) and 0.05 <= fps <= 50):
        raise ValueError(f"visualize.animate: fps is {fps}; it must be between 0.05 and 50 steps for each second")
    if min(size) < 320 or max(size) > 4096 or any(n % 2 for n in size):
        raise ValueError(f"visualize.animate: size is {size}; both numbers must be even and between 320 and 4096")
    colours = theme_named(theme)
    if target.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise RuntimeError(
            f"visualize.animate: {str(target)!r} needs the program ffmpeg, which is not on this machine. Install it "
            f"(Debian: sudo apt install ffmpeg, macOS: brew install ffmpeg, Windows: winget install ffmpeg), or write "
            f"a .gif"
        )
    chosen = renderer or next(iter(rendering.renderers()), None)
    if chosen is None:
        raise GraphvizNotFound(
            f"visualize.animate: no Graphviz on this machine, so {str(target)!r} was not made. Install Graphviz with:  "
            f"{rendering.install_command()}   or, without leaving Python:  pip install pygraphviz"
        )
    tape = with_gradients(tape_of(output, _names(params), gradient))
    steps = steps_of(tape)
    if len(steps) > FRAMES:
        raise ValueError(
            f"visualize.animate: the film would have {len(steps)} steps; at most {FRAMES} make a film. "
            f"visualize.page plays up to 2000"
        )
    drawing = graph(tape.graph, theme=theme, title=title, subtitle=subtitle, direction=direction, depth=depth)
    film = Film(drawing.source, drawing.view, steps, colours, size, chosen)
    write = _write_gif if target.suffix.lower() == ".gif" else _write_mp4
    return write_atomically(target, lambda file: write(film.frames(), file, fps, film))


def _write_gif(frames: Iterator[Image], file: Path, fps: float, film: Film) -> None:
    from PIL import Image as images

    palette = _palette(film.theme)
    small = (frame.quantize(palette=palette, dither=images.Dither.NONE) for frame in frames)
    time = round(100 / fps) * 10
    times = [time] * (len(film.steps) - 1) + [4 * time]
    next(small).save(file, format="GIF", save_all=True, append_images=small, duration=times, loop=0)


def _palette(theme: Theme) -> Image:
    """The colours of a theme and those half way to what they stand on: one palette for all frames, so nothing flickers.

    Pillow's own choice takes rare colours, such as that of the ◆, for common ones.
    """
    from PIL import Image as images

    named = variables(theme)
    grounds = [c for name, c in named.items() if name.endswith(("-tint", "-fill")) or name in ("background", "paper")]
    inks = dict.fromkeys([c for name, c in named.items() if c not in grounds])
    colours = dict.fromkeys(map(rgb, [*grounds, *inks]))
    colours |= dict.fromkeys(mixed(ink, theme.paper, part) for ink in inks for part in (0.5, 0.75, 0.25, 0.16))
    colours |= dict.fromkeys(mixed(ink, ground, 0.5) for ground in grounds for ink in inks)
    kept: list[tuple[int, int, int]] = []
    for colour in colours:  # near white is no white: of colours that look the same, the first
        if all(math.dist(colour, other) > 14 for other in kept):
            kept.append(colour)
    palette = images.new("P", (1, 1))
    palette.putpalette([part for colour in kept[:256] for part in colour])
    return palette


def _write_mp4(frames: Iterator[Image], file: Path, fps: float, film: Film) -> None:
    command = [shutil.which("ffmpeg") or "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{film.size[0]}x{film.size[1]}", "-framerate", f"{fps:g}", "-i", "-", "-vf", "fps=25"]
    command += [
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-crf",
        "20",
        "-movflags",
        "+faststart",
        "-f",
        "mp4",
        str(file),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None and process.stderr is not None
        try:
            for frame in frames:
                process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            process.kill()  # it has ended already; what it said comes below
        process.stdin.close()
        said = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode:
        raise RuntimeError(f"visualize.animate: ffmpeg failed (exit code {process.returncode}): {said or 'no message'}")
