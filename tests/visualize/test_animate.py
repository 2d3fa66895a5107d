"""Films: one frame for each step, the numbers appear when they are known, whole files, errors that say what to do."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from page_examples import network, two_paths
from PIL import Image

import tinygrad_edu as torch
import visualize
from tinygrad_edu.autograd.tape import tape_of
from tinygrad_edu.errors import GraphvizNotFound
from visualize import render
from visualize.film import Film
from visualize.geometry import drawn
from visualize.page import with_gradients
from visualize.tape import steps_of
from visualize.theme import DARK, LIGHT

needs_renderer = pytest.mark.skipif(not render.renderers(), reason="neither dot nor pygraphviz is installed")
pytestmark = needs_renderer


def film_of_network(theme: str = "light") -> Film:
    loss, model = network()
    tape = with_gradients(tape_of(loss, model.named_parameters()))
    drawing = visualize.graph(tape.graph, theme=theme)
    colours = {"light": LIGHT, "dark": DARK}[theme]
    return Film(drawing.source, drawing.view, steps_of(tape), colours, (1280, 800), render.renderers()[0])


def test_gif_has_one_frame_for_each_step(tmp_path: Path) -> None:
    loss, params = two_paths()
    steps = steps_of(tape_of(loss, params))
    path = visualize.animate(loss, tmp_path / "net.gif", params=params, fps=2, size=(640, 480))
    assert path == tmp_path / "net.gif" and list(tmp_path.iterdir()) == [path]
    with Image.open(path) as film:
        assert film.size == (640, 480) and film.n_frames == len(steps) == 8
        times = []
        for k in range(film.n_frames):
            film.seek(k)
            times.append(film.info["duration"])
    assert times == [500] * 7 + [2000]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_frame_differs_and_has_its_paper(theme: str) -> None:
    film = film_of_network(theme)
    frames = [np.asarray(frame) for frame in film.frames()]
    assert len(frames) == len(film.steps)
    for before, after in itertools.pairwise(frames):
        assert (before != after).any()
    paper = (255, 255, 255) if theme == "light" else (16, 20, 26)
    assert tuple(frames[0][3, 3]) == paper


def test_the_active_node_is_in_the_window() -> None:
    film = film_of_network()
    for step, _ in zip(film.steps, film.frames(), strict=True):
        if step.vertex:
            left, top, right, bottom = film._pixels(film.geometry.boxes[film.place[step.vertex]].rect)
            x, y = film.camera
            assert x <= left and right <= x + 1280 and y <= top and bottom <= y + 800 - 132, step.title


def test_numbers_appear_when_they_are_known() -> None:
    """The cell of a gradient is blank until its step, and then as it is in the plain picture."""
    film = film_of_network()
    box = film.geometry.boxes["op3"]
    cell = next(c for c in box.cells if LIGHT.gradient.lower() in [t.lower() for t in c.texts])
    left, top, right, bottom = film._pixels(cell.rect)
    inner = (left + 3, top + 3, right - 8, bottom - 4)
    arrival = next(k for k, s in enumerate(film.steps) if any(m.source == "op3" for m in s.shares))

    def dark_pixels(k: int) -> int:
        frames = film.frames()
        for _ in range(k):
            next(frames)
        film._composed = lambda picture, *rest: picture  # type: ignore[method-assign, assignment]
        picture = np.asarray(next(frames))
        del film._composed
        part = picture[inner[1] : inner[3], inner[0] : inner[2]]
        return int((part.min(axis=2) < 150).sum())

    assert dark_pixels(arrival - 1) == 0 < dark_pixels(arrival + 1)


def test_geometry_finds_every_box_and_edge() -> None:
    loss, model = network()
    drawing = visualize.graph(loss, params=model)
    svg = render.run(drawing.source, "svg", expect="value", renderer=render.renderers()[0]).decode()
    found = drawn(svg, drawing.view)
    graph = drawing.view.graph
    assert {v.id for v in graph.vertices} <= set(found.boxes)
    assert sorted(k for e in found.edges if not e.backward for k in e.places) == list(range(len(graph.edges)))
    for box in found.boxes.values():
        assert 0 <= box.rect[0] < box.rect[2] <= found.width and 0 <= box.rect[1] < box.rect[3] <= found.height


@pytest.mark.skipif(shutil.which("ffprobe") is None or shutil.which("ffmpeg") is None, reason="no ffmpeg here")
def test_mp4_plays_as_long_as_there_are_steps(tmp_path: Path) -> None:
    loss, params = two_paths()
    path = visualize.animate(loss, tmp_path / "net.mp4", params=params, fps=4, size=(640, 480))
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)], capture_output=True, check=True
    )
    (stream,) = json.loads(said.stdout)["streams"]
    assert (stream["width"], stream["height"], stream["pix_fmt"]) == (640, 480, "yuv420p")
    assert float(stream["duration"]) == pytest.approx(2.0, abs=0.15)


def test_without_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "ffmpeg" else find(name))
    loss, params = two_paths()
    with pytest.raises(RuntimeError, match=r"needs the program ffmpeg.*sudo apt install ffmpeg.*or write a .gif"):
        visualize.animate(loss, tmp_path / "net.mp4", params=params)
    assert not list(tmp_path.iterdir())


def test_when_ffmpeg_fails_nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'no such codec' >&2\nexit 3\n")
    program.chmod(0o755)
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: str(program) if name == "ffmpeg" else find(name))
    out = tmp_path / "out"
    out.mkdir()
    loss, params = two_paths()
    with pytest.raises(RuntimeError, match=r"ffmpeg failed \(exit code 3\): no such codec"):
        visualize.animate(loss, out / "net.mp4", params=params)
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fps": 0}, "fps is 0; it must be between 0.05 and 50"),
        ({"size": (101, 800)}, r"size is \(101, 800\); both numbers must be even"),
        ({"theme": "pink"}, "theme is 'pink'; choose one of 'light', 'dark'"),
    ],
)
def test_wrong_options(given: dict, words: str, tmp_path: Path) -> None:
    loss, params = two_paths()
    with pytest.raises(ValueError, match=words):
        visualize.animate(loss, tmp_path / "net.gif", params=params, **given)


def test_wrong_suffix_too_long_and_no_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loss, _ = two_paths()
    with pytest.raises(ValueError, match=r"'.avi'; choose one of .gif, .mp4"):
        visualize.animate(loss, tmp_path / "net.avi")
    y = torch.tensor(1.0, requires_grad=True)
    for _ in range(250):
        y = y * 1.0
    with pytest.raises(ValueError, match="would have 504 steps; at most 400 make a film"):
        visualize.animate(y, tmp_path / "net.gif")
    monkeypatch.setattr(render, "renderers", lambda: [])
    with pytest.raises(GraphvizNotFound, match=r"net.gif' was not made. Install Graphviz with"):
        visualize.animate(loss, tmp_path / "net.gif")
