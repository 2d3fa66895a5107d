"""Figures of training: written whole, opened again, and true to their numbers."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from PIL import Image

import tinygrad_edu as torch
import visualize

NAMES = ["airplane", "cat", "dog"]


def is_picture(path: Path) -> bool:
    """Whether the PNG opens and shows more than a blank page."""
    with Image.open(path) as image:
        return len(np.unique(np.asarray(image.convert("L")))) > 10


def words(figure: Any) -> str:
    """All annotations of a figure."""
    return " | ".join(t.get_text() for ax in figure.axes for t in ax.texts)


HISTORY = {
    "train loss": [0.9, 0.5, 0.3],
    "test loss": [1.0, 0.6, 0.45],
    "train accuracy": [0.6, 0.8, 0.9],
    "test accuracy": [0.55, 0.75, 0.8711],
}


def test_curves_put_losses_and_accuracies_on_separate_panels(tmp_path: Path) -> None:
    figure = visualize.curves(HISTORY, tmp_path / "curves.png", title="MLP")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["loss", "accuracy"]
    assert [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines] == [
        HISTORY["train loss"],
        HISTORY["test loss"],
    ]
    assert "test accuracy  0.8711" in words(figure) and "train loss  0.3" in words(figure)
    assert is_picture(tmp_path / "curves.png")
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_curves_takes_a_list_of_epochs() -> None:
    epochs = [{"epoch": i, "loss": 1 / (i + 1), "acc": i / 4} for i in range(4)]
    figure = visualize.curves(epochs)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["loss", "accuracy"]


def test_curves_of_one_epoch_and_of_nan(tmp_path: Path) -> None:
    visualize.curves({"loss": [0.5]}, tmp_path / "one.png")
    figure = visualize.curves({"loss": [1.0, math.nan, 0.5], "val loss": [1.0, 0.7, math.nan], "c": [math.nan] * 2},
                              tmp_path / "nan.png")  # fmt: skip
    assert is_picture(tmp_path / "one.png") and is_picture(tmp_path / "nan.png")
    assert "loss  0.5" in words(figure) and "val loss  NaN from epoch 3" in words(figure)
    assert "c  NaN from epoch 1" in words(figure)


def test_a_line_that_ends_in_nan_or_inf_says_the_first_too() -> None:
    text = words(visualize.curves({"loss": [1.0, math.nan, 0.5, math.inf], "b loss": [1.0, math.nan, math.inf]}))
    assert "b loss  NaN from epoch 2" in text and text.startswith("loss  NaN at epoch 2, Inf from epoch 4")


def test_numbers_alone_are_the_loss() -> None:
    for history in ([3, 2, 1], (3, 2, 1), np.array([3.0, 2.0, 1.0]), torch.tensor([3.0, 2.0, 1.0])):
        figure = visualize.curves(history)
        assert figure.axes[0].get_title(loc="left") == "loss"
        assert list(figure.axes[0].lines[0].get_ydata()) == [3, 2, 1]


def test_tensors_are_numbers() -> None:
    numbers = [torch.tensor(3.0, requires_grad=True), torch.tensor(1.0), 0.5]
    for history in (numbers, {"loss": numbers}, [{"loss": x} for x in numbers]):
        assert list(visualize.curves(history).axes[0].lines[0].get_ydata()) == [3, 1, 0.5]
    grad = torch.tensor([3.0, 1.0, 0.5], requires_grad=True)
    assert list(visualize.curves(grad).axes[0].lines[0].get_ydata()) == [3, 1, 0.5]
    assert list(visualize.curves(grad[0]).axes[0].lines[0].get_ydata()) == [3]
    assert list(visualize.curves({"loss": grad}).axes[0].lines[0].get_ydata()) == [3, 1, 0.5]


def test_fifty_lines_look_different() -> None:
    lines = visualize.curves({f"run {i} loss": [i, i + 1] for i in range(50)}).axes[0].lines
    assert len({(x.get_color(), x.get_marker(), x.get_linestyle()) for x in lines}) == 50


def boxes(figure: Any) -> Any:
    """Where an artist of the figure is, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return lambda artist: artist.get_window_extent(canvas.get_renderer())


@pytest.mark.parametrize("title", ["A very long title " * 9, "Averyverylongword" * 9, "MMMM WWWW " * 9, "two\nlines"])
def test_a_long_title_stays_inside(title: str) -> None:
    for figure in (visualize.curves(HISTORY, title=title), visualize.filters(np.ones((2, 1, 3, 3)), title=title)):
        box = boxes(figure)(figure._suptitle)
        assert box.x1 < figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert box.y0 > boxes(figure)(figure.axes[0]).y1
        assert "".join(figure.get_suptitle().split()) == "".join(title.split())


def test_labels_stay_clear_of_the_next_panel() -> None:
    figure = visualize.curves({"loss 1": [3, 2, 1], "loss 2": [2, 1, 0.5], "accuracy": [10000, 20000, 30000]})
    box = boxes(figure)
    labels = [t for t in figure.axes[0].texts if isinstance(t, Annotation)]
    numbers = [t for t in figure.axes[1].get_yticklabels() if t.get_text()]
    assert min(box(t).x0 for t in numbers) - max(box(t).x1 for t in labels) > 12


def test_final_values_do_not_overlap() -> None:
    figure = visualize.curves({f"run {i} loss": [1.0, 0.5 + i * 1e-4] for i in range(6)})
    places = sorted(t.xy[1] for t in figure.axes[0].texts if isinstance(t, Annotation))
    assert min(np.diff(places)) > 0.07 and places[-1] <= 1.001


@pytest.mark.parametrize("empty", [{}, [], {"loss": []}, [{}], {"epoch": [1, 2]}])
def test_an_empty_history_is_an_error(empty: Any) -> None:
    with pytest.raises(ValueError, match="history is empty"):
        visualize.curves(empty)


def test_curves_refuses_words_and_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'loss' is not a list of numbers"):
        visualize.curves({"loss": ["a"]})  # type: ignore[list-item]
    with pytest.raises(ValueError, match="'loss' is not a list of numbers"):
        visualize.curves([[1.0, 2.0], [3.0, 4.0]])  # type: ignore[list-item]
    for given, kind in ((5, "int"), ("loss", "str"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"got {kind}; pass"):
            visualize.curves(given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mixes numbers and mappings"):
        visualize.curves([{"loss": 1.0}, 2.0])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"choose one of .png, .svg, .pdf"):
        visualize.curves(HISTORY, tmp_path / "a.gif")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        visualize.curves(HISTORY, tmp_path / "no" / "a.png")


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_vector_files_are_the_same_twice(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        visualize.curves(HISTORY, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("shape", [(6, 1, 3, 3), (8, 3, 5, 5), (32, 16, 3, 3), (1, 1, 1, 1)])
def test_filters_share_a_scale_around_zero(shape: tuple[int, ...], tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    figure = visualize.filters(weight, tmp_path / "filters.png")
    images = [ax.images[0] for ax in figure.axes if ax.images]
    limits = {image.get_clim() for image in images if np.asarray(image.get_array()).shape == shape[2:]}
    assert len(limits) == 1
    ((low, high),) = limits
    assert low == -high and is_picture(tmp_path / "filters.png")


class Holder:
    """Looks like a module: modules() and a convolution inside."""

    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def modules(self) -> list[Any]:
        return [Holder.__new__(Holder), self]


Holder.weight = None


def test_filters_of_a_module() -> None:
    assert visualize.filters(Holder(np.ones((2, 1, 3, 3)))).axes
    with pytest.raises(TypeError, match="Holder holds no weight"):
        visualize.filters(Holder(np.ones((3, 3))))


def test_one_filter_is_singular() -> None:
    assert visualize.filters(np.ones((1, 1, 3, 3))).get_suptitle() == "1 filter 3 × 3"
    assert visualize.filters(np.ones((2, 1, 3, 3))).get_suptitle() == "2 filters 3 × 3"


def test_filters_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\).*must be \(o, c, kh, kw\)"):
        visualize.filters(np.ones((3, 3)))
    for given, kind in ((5, "int"), (None, "NoneType"), ("w", "str")):
        with pytest.raises(TypeError, match=rf"got {kind}; pass the weight \(o, c, kh, kw\)"):
            visualize.filters(given)
    with pytest.raises(ValueError, match="not empty"):
        visualize.filters(np.ones((0, 3, 3, 3)))


def test_filters_of_zeros_and_nan(tmp_path: Path) -> None:
    for fill in (0.0, np.nan):
        visualize.filters(np.full((2, 8, 3, 3), fill), tmp_path / "f.png")


def test_confusion_counts(tmp_path: Path) -> None:
    figure = visualize.confusion([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], NAMES, tmp_path / "c.png")
    cells = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in figure.axes[0].texts}
    assert cells == {(0, 0): "1", (0, 1): "1", (1, 1): "1", (2, 2): "2", (2, 0): "1"}
    assert figure.axes[0].get_title(loc="left") == "4 of 6 right (66.67%)" and is_picture(tmp_path / "c.png")
    scores = np.eye(3)[[0, 1, 2]]
    assert "3 of 3" in visualize.confusion([0, 1, 2], scores).axes[0].get_title(loc="left")


def test_confusion_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        visualize.confusion([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="from 0 to 5, but there are 3 classes"):
        visualize.confusion([0, 5], [0, 1], NAMES)
    with pytest.raises(ValueError, match="n > 0"):
        visualize.confusion([], [])


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 1, 8, 8), (4, 3, 8, 8), (4, 64)])
def test_mistakes_shows_the_wrong_ones(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=shape)
    figure = visualize.mistakes(images, [0, 1, 2, 0], [0, 2, 2, 1], tmp_path / "m.png", classes=NAMES)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["cat  →  dog", "airplane  →  cat"] and is_picture(tmp_path / "m.png")


def test_mistakes_without_any_and_with_many() -> None:
    images = np.zeros((3, 4, 4))
    none = visualize.mistakes(images, [0, 1, 2], [0, 1, 2])
    assert none.get_suptitle() == "0 of 3 wrong" and [t.get_text() for t in none.axes[0].texts] == ["all 3 right"]
    assert "first 2 shown" in visualize.mistakes(images, [0, 1, 2], [1, 2, 0], limit=2).get_suptitle()
    with pytest.raises(ValueError, match="3 images, but 2 targets"):
        visualize.mistakes(images, [0, 1], [1, 1])
    with pytest.raises(ValueError, match=r"images are \(2, 7\)"):
        visualize.mistakes(np.zeros((2, 7)), [0, 1], [1, 1])
