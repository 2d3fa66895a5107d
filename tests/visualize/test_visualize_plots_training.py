"""Pictures of training: bands over seeds, gradient flow, histograms, activations, decision boundaries, both themes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import FillBetweenPolyCollection
from PIL import Image

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import nn, optim
from visualize.palette import PALETTES
from visualize.plots import probabilities


def words(figure: Any) -> str:
    return " | ".join(t.get_text() for ax in figure.axes for t in ax.texts)


def drawn_texts(figure: Any) -> list[Any]:
    """The texts that a reader sees: not those of ticks outside the limits, nor of axes that are switched off."""
    texts = [figure._suptitle, figure._supxlabel]
    for part in [figure, *figure.subfigs]:
        texts += [part._suptitle]
    for ax in figure.axes:
        texts += [*ax.texts, ax.title, ax._left_title]
        legend = ax.get_legend()
        texts += legend.get_texts() if legend is not None else []
        if ax.axison:
            texts += [ax.xaxis.label, ax.yaxis.label]
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
                shown = [t for t in ticks if low <= t.get_loc() <= high]
                texts += [label for t in shown for label in (t.label1, t.label2) if label.get_visible()]
    return [t for t in dict.fromkeys(texts) if t is not None and t.get_text().strip()]


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """Pairs of texts of a figure whose boxes meet, and texts that leave the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in drawn_texts(figure)]
    found = [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 1
    ]
    page = figure.bbox
    outside = [t for t, b in boxes if b.x0 < page.x0 - 1 or b.x1 > page.x1 + 1 or b.y0 < -1 or b.y1 > page.y1 + 1]
    return found + [(text, "outside") for text in outside]


RUNS = [{"train loss": [0.9, 0.5, 0.3 + 0.1 * s], "test accuracy": [0.5, 0.7, 0.8 - 0.1 * s]} for s in range(3)]


def deep(layers: int = 9) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*[part for _ in range(layers) for part in (nn.Linear(6, 6), nn.Sigmoid())])


def recorded(model: nn.Module, steps: int = 12) -> visualize.GradientFlow:
    flow = visualize.GradientFlow(model)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(8, 6)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
        flow.step()
    return flow


def small_cnn() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(180, 3))


POINTS = np.array([[0.0, 0.0], [1.0, 0.5], [2.0, 2.0], [3.0, 2.5]])
LABELS = np.array([0, 0, 1, 1])


def left_or_right(x: Any) -> Any:
    return torch.stack([3 - 2 * x[:, 0], 2 * x[:, 0] - 3], 1)


FIGURES: dict[str, Callable[..., Any]] = {
    "curves": lambda **o: visualize.curves(RUNS, title="Three seeds", **o),
    "curves of two": lambda **o: visualize.curves({"SGD": RUNS, "Adam": RUNS}, band="std", **o),
    "gradient_flow": lambda **o: visualize.gradient_flow(recorded(deep(3)), title="Flow", **o),
    "heatmap": lambda **o: visualize.gradient_flow(recorded(deep()), **o),
    "histograms": lambda **o: visualize.histograms(recorded(deep(5)), **o),
    "histograms now": lambda **o: visualize.histograms(deep(3), **o),
    "filters": lambda **o: visualize.filters(small_cnn(), **o),
    "activations": lambda **o: visualize.activations(small_cnn(), np.random.default_rng(0).random((1, 6, 6)), **o),
    "confusion": lambda **o: visualize.confusion([0, 1, 2, 2], [0, 1, 1, 2], **o),
    "mistakes": lambda **o: visualize.mistakes(np.eye(4).reshape(4, 2, 2), [0, 1, 0, 1], np.eye(2)[[0, 0, 1, 1]], **o),
    "boundary": lambda **o: visualize.decision_boundary(left_or_right, POINTS, LABELS, **o),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_in_both_themes(name: str, theme: str, tmp_path: Path) -> None:
    figure = FIGURES[name](theme=theme, path=tmp_path / "a.png")
    assert overlapping(figure) == []
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    paper = tuple(int(PALETTES[theme].paper[i : i + 2], 16) for i in (1, 3, 5))
    assert tuple(pixels[2, 2]) == paper and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize("name", FIGURES)
def test_unknown_themes_and_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="theme is 'pink'; choose one of 'light', 'dark'"):
        FIGURES[name](theme="pink")
    with pytest.raises(ValueError, match=r"choose one of .png, .svg, .pdf"):
        FIGURES[name](path=tmp_path / "a.gif")


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("palette", PALETTES.values(), ids=str)
def test_every_text_colour_reads_on_the_paper(palette: Any) -> None:
    for color in (*palette.lines, palette.text, palette.muted, palette.right):
        light, dark = sorted((luminance(color), luminance(palette.paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, color


def test_a_notebook_shows_a_figure_as_png() -> None:
    assert visualize.curves([3, 2, 1])._repr_png_()[:4] == b"\x89PNG"  # type: ignore[attr-defined]


# curves over seeds


def test_the_band_is_the_range_and_the_line_the_mean() -> None:
    figure = visualize.curves(RUNS)
    loss = figure.axes[0]
    assert np.asarray(loss.lines[0].get_ydata()).tolist() == pytest.approx([0.9, 0.5, 0.4])
    (band,) = [c for c in loss.collections if isinstance(c, FillBetweenPolyCollection)]
    assert band.get_datalim(loss.transData).y0 == pytest.approx(0.3)
    assert "train loss  0.4  (0.3 to 0.5)" in words(figure)
    assert "mean of 3 runs" in figure.get_supxlabel() and "least to greatest" in figure.get_supxlabel()


def test_std_has_n_minus_one_below() -> None:
    assert "train loss  0.4  ± 0.1" in words(visualize.curves(RUNS, band="std"))


def test_runs_of_several_kinds_keep_their_names() -> None:
    text = words(visualize.curves({"SGD": RUNS, "Adam": RUNS[:1]}))
    assert "SGD train loss  0.4  (" in text and "Adam train loss  0.3 |" in text


def test_a_run_with_nan_leaves_a_gap_and_says_so() -> None:
    figure = visualize.curves([{"loss": [1.0, 0.5]}, {"loss": [1.0, math.nan]}])
    assert "loss  NaN from epoch 2" in words(figure)


def test_runs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'loss' has 2 epochs in run 0 and 1 in run 1"):
        visualize.curves([{"loss": [1.0, 0.5]}, {"loss": [1.0]}])
    with pytest.raises(ValueError, match=r"run 1 .* has \['b'\], run 0 has \['a'\]"):
        visualize.curves([{"a": [1.0]}, {"b": [1.0]}])
    with pytest.raises(TypeError, match="'Adam' is not a list of runs"):
        visualize.curves({"SGD": RUNS, "Adam": [1.0, 2.0]})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="band is 'sem'"):
        visualize.curves(RUNS, band="sem")


# gradient flow


def test_the_ratios_are_those_of_the_gradients() -> None:
    model = nn.Linear(2, 1)
    flow = visualize.GradientFlow(model)
    expected = []
    for scale in (1.0, 2.0):
        model.zero_grad()
        (model(torch.ones(3, 2)).sum() * scale).backward()
        gradient = np.concatenate([p.grad.numpy().reshape(-1) for p in model.parameters()])
        weight = np.concatenate([p.detach().numpy().reshape(-1) for p in model.parameters()])
        expected.append(np.linalg.norm(gradient) / np.linalg.norm(weight))
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(2.0)  # the optimiser's step comes before flow.step(), and does not count
        model.zero_grad()
        flow.step()
    assert flow.ratios["Linear"].tolist() == pytest.approx(expected, rel=1e-6)
    assert len(flow) == 2 and repr(flow) == "<GradientFlow of 1 layer, 2 steps>"


def test_accumulated_gradients_count_as_their_sum() -> None:
    model = nn.Linear(2, 1, bias=False)
    with visualize.GradientFlow(model) as flow:
        for _ in range(2):
            model(torch.ones(1, 2)).sum().backward()
        flow.step()
    assert flow.layers[0].gradient == [pytest.approx(2 * math.sqrt(2))]
    model(torch.ones(1, 2)).sum().backward()
    with pytest.raises(RuntimeError, match="no gradient since the last step.*recorder is closed"):
        flow.step()


def test_a_layer_without_gradient_is_none_and_one_of_zero_is_zero() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "dead": nn.Linear(2, 2), "idle": nn.Linear(2, 2)})
    flow = visualize.GradientFlow(model)
    x = torch.ones(1, 2)
    (model["used"](x).sum() + model["dead"](x).sum() * 0.0).backward()
    flow.step()
    assert math.isnan(flow.ratios["idle"][0]) and flow.ratios["dead"][0] == 0 and flow.ratios["used"][0] > 0
    text = words(visualize.gradient_flow(flow))
    assert "dead  exactly 0" in text and "idle  none" in text


def test_vanishing_gradients_are_seen() -> None:
    flow = recorded(deep(8))
    ratios = [values[-1] for values in flow.ratios.values()]
    assert ratios[0] < 1e-3 * ratios[-1]
    figure = visualize.gradient_flow(flow)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == list(flow.ratios) and figure.axes[0].images
    assert not visualize.gradient_flow(flow, kind="lines").axes[0].images


def test_what_cannot_be_recorded_or_drawn_is_refused() -> None:
    with pytest.raises(TypeError, match="got list; pass the model"):
        visualize.GradientFlow([1])
    with pytest.raises(ValueError, match="no parameter of this model requires grad"):
        visualize.GradientFlow(nn.ReLU())
    with pytest.raises(TypeError, match=r"got Linear; record with flow = visualize.GradientFlow\(model\)"):
        visualize.gradient_flow(nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing recorded yet"):
        visualize.gradient_flow(visualize.GradientFlow(nn.Linear(1, 1)))
    with pytest.raises(ValueError, match="kind is 'bars'"):
        visualize.gradient_flow(recorded(deep(2), 1), kind="bars")


# histograms


def test_snapshots_stay_few_and_evenly_spread() -> None:
    flow = recorded(deep(1), 300)
    steps = np.asarray(flow.snapshot_steps)
    assert 30 <= len(steps) <= 64 and steps[0] == 1 and steps[-1] > 290
    assert set(np.diff(steps)) == {flow.stride}
    assert len(flow.weights["0.weight"]) == len(flow.gradients["0.bias"]) == len(steps)


def test_a_snapshot_counts_every_finite_number() -> None:
    model = nn.Linear(6, 6)
    flow = visualize.GradientFlow(model)
    before = model.weight.detach().numpy().copy()
    model(torch.ones(1, 6)).sum().backward()
    flow.step()
    shot = flow.weights["weight"][0]
    assert shot.counts.tolist() == np.histogram(before, shot.edges)[0].tolist() and shot.counts.sum() == 36


def test_histograms_of_what_is_there_now() -> None:
    model = deep(2)
    assert [ax.get_title(loc="left") for ax in visualize.histograms(model).axes] == ["0.weight", "2.weight"]
    named = visualize.histograms(model, names=["0.bias"])
    assert [ax.get_title(loc="left") for ax in named.axes] == ["0.bias"]
    with pytest.raises(ValueError, match=r"no parameter has a gradient; call backward\(\) first"):
        visualize.histograms(model, of="gradient")
    with pytest.raises(ValueError, match="no parameter .'x'.; there are 0.weight"):
        visualize.histograms(model, names=["x"])
    with pytest.raises(ValueError, match="of is 'grad'"):
        visualize.histograms(model, of="grad")
    with pytest.raises(TypeError, match="got int"):
        visualize.histograms(3)
    with pytest.raises(ValueError, match="no parameter has two or more dims"):
        visualize.histograms(nn.BatchNorm1d(3))


# activations


def test_activations_are_those_of_the_layer_and_leave_no_trace() -> None:
    model = small_cnn()
    image = np.random.default_rng(0).random((1, 6, 6)).astype(np.float32)
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    figure = visualize.activations(model, image, layer="2")
    model.eval()
    expected = F.relu(model[1](model[0](torch.tensor(image[None])))).detach().numpy()[0]
    model.train()
    shown = [ax.images[0].get_array() for ax in figure.axes[1:6]]
    np.testing.assert_allclose(np.stack(shown), expected, rtol=1e-5)
    assert all(np.array_equal(v.numpy(), state[k]) for k, v in model.state_dict().items())
    assert model.training and model[1].training and not model[2]._forward_hooks
    assert "5 channels 6 × 6" in figure.get_suptitle()


def test_activations_refuses_what_does_not_fit() -> None:
    model, image = small_cnn(), np.zeros((1, 6, 6))
    with pytest.raises(ValueError, match="no layer 'conv'; there are '0', '1'"):
        visualize.activations(model, image, layer="conv")
    with pytest.raises(ValueError, match=r"layer '4' returns \(1, 3\)"):
        visualize.activations(model, image, layer="4")
    with pytest.raises(ValueError, match=r"x is \(6, 6\)"):
        visualize.activations(model, image[0])
    with pytest.raises(ValueError, match="no 2-D convolution; name a layer"):
        visualize.activations(nn.Linear(2, 2), image)
    with pytest.raises(TypeError, match="got int"):
        visualize.activations(3, image)


# decision boundary


@pytest.mark.parametrize(
    "model",
    [
        left_or_right,
        lambda x: F.softmax(left_or_right(x), dim=1),
        lambda x: torch.sigmoid(4 * x[:, 0] - 6),
        lambda x: torch.sigmoid(4 * x[:, :1] - 6),
        lambda x: 4 * x[:, 0] - 6,
    ],
    ids=["logits", "probabilities", "sigmoid (n,)", "sigmoid (n, 1)", "one logit"],
)
def test_every_kind_of_output_draws_the_same_plane(model: Callable[[Any], Any]) -> None:
    figure = visualize.decision_boundary(model, POINTS, LABELS)
    assert figure.axes[0].get_title(loc="left") == "4 of 4 points right (100.0%)"
    shades = figure.axes[0].images[0].get_array()
    same = visualize.decision_boundary(left_or_right, POINTS, LABELS).axes[0].images[0].get_array()
    np.testing.assert_allclose(shades, same, atol=1e-5)


def test_the_plane_is_coloured_by_the_likeliest_class() -> None:
    figure = visualize.decision_boundary(left_or_right, POINTS, LABELS)
    shades = np.asarray(figure.axes[0].images[0].get_array())
    left, right = shades[100, 5], shades[100, -5]
    assert left[2] > left[0] and right[0] > right[2]  # blue, orange
    x0, x1 = figure.axes[0].get_xlim()
    middle = shades[100, round((1.5 - x0) / (x1 - x0) * shades.shape[1])]
    assert middle.min() > 0.9  # unsure: nearly the paper


def test_three_classes_and_the_wrong_side() -> None:
    def three(x: Any) -> Any:
        return torch.stack([-x[:, 0], x[:, 0] * 0 - 1.5, x[:, 0] - 3], 1)

    figure = visualize.decision_boundary(three, POINTS, [0, 0, 2, 1], classes=["a", "b", "c"])
    assert figure.axes[0].get_title(loc="left") == "3 of 4 points right (75.0%)"
    legend = figure.axes[0].get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["a", "b", "c", "wrong side"]


def test_labels_of_minus_one_and_one_are_two_classes() -> None:
    figure = visualize.decision_boundary(lambda x: 4 * x[:, 0] - 6, POINTS, LABELS * 2 - 1)
    assert "4 of 4" in figure.axes[0].get_title(loc="left")


def test_a_module_is_run_in_evaluation_mode_and_put_back() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    before = model[1].running_mean.numpy().copy()
    one, two = (visualize.decision_boundary(model, POINTS, LABELS).axes[0].images[0].get_array() for _ in "ab")
    assert np.array_equal(one, two) and np.array_equal(model[1].running_mean.numpy(), before) and model.training


def test_decision_boundary_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"x is \(4, 3\)"):
        visualize.decision_boundary(left_or_right, np.zeros((4, 3)), LABELS)
    with pytest.raises(ValueError, match=r"y is \(3,\)"):
        visualize.decision_boundary(left_or_right, POINTS, LABELS[:3])
    with pytest.raises(ValueError, match="y goes up to 2, but the model knows 2 classes"):
        visualize.decision_boundary(left_or_right, POINTS, [0, 1, 2, 0])
    with pytest.raises(ValueError, match="y holds fractions"):
        visualize.decision_boundary(left_or_right, POINTS, [0.5, 1, 1, 0])
    with pytest.raises(ValueError, match="NaN or Inf"):
        visualize.decision_boundary(lambda x: x * math.nan, POINTS, LABELS)
    with pytest.raises(ValueError, match="3 class names for a model of 2 classes"):
        visualize.decision_boundary(left_or_right, POINTS, LABELS, classes="abc")


# mistakes


def test_the_surest_mistake_comes_first_with_its_probability() -> None:
    scores = np.log([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    figure = visualize.mistakes(np.random.default_rng(0).random((4, 2, 2)), [0, 0, 0, 1], scores, limit=1)
    assert [ax.get_title() for ax in figure.axes] == ["0  →  1\n80%"]
    assert "2 of 4 wrong, surest 1 shown" in figure.get_suptitle()


def test_probabilities_of_logits_and_of_themselves() -> None:
    p = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_array_equal(probabilities(p), p)
    np.testing.assert_allclose(probabilities(np.array([[1000.0, 1000.0 + math.log(3)]])), [[0.25, 0.75]], rtol=1e-10)
