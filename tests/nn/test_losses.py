"""Losses: against formulas in NumPy and central differences, and against PyTorch with every option."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from nn_checks import numerical_gradient

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((6, 4)) * 3
LABELS = np.array([0, 3, 1, 1, 2, 0])
TARGET = RNG.random((6, 4))
PROBABILITIES = RNG.dirichlet(np.ones(4), 6)
WEIGHT = np.array([0.5, 2.0, 1.0, 0.1])


def log_softmax(z, axis=1):
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


# Each loss, entry by entry, straight from its definition.
BY_HAND = {
    "cross_entropy": (LOGITS, LABELS, lambda z, y: -log_softmax(z)[np.arange(6), y]),
    "nll_loss": (log_softmax(LOGITS), LABELS, lambda z, y: -z[np.arange(6), y]),
    "mse_loss": (LOGITS, TARGET, lambda x, y: (x - y) ** 2),
    "l1_loss": (LOGITS, TARGET, lambda x, y: abs(x - y)),
    "smooth_l1_loss": (
        LOGITS,
        TARGET,
        lambda x, y: np.where(abs(x - y) < 1, 0.5 * (x - y) ** 2, abs(x - y) - 0.5),
    ),
    "huber_loss": (LOGITS, TARGET, lambda x, y: np.where(abs(x - y) < 1, 0.5 * (x - y) ** 2, abs(x - y) - 0.5)),
    "binary_cross_entropy": (
        PROBABILITIES,
        TARGET,
        lambda p, y: -(y * np.log(p) + (1 - y) * np.log(1 - p)),
    ),
    "binary_cross_entropy_with_logits": (
        LOGITS,
        TARGET,
        lambda z, y: -(y * -np.log(1 + np.exp(-z)) + (1 - y) * -np.log(1 + np.exp(z))),
    ),
    "kl_div": (log_softmax(LOGITS), PROBABILITIES, lambda x, y: y * (np.log(y) - x)),
}


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name, reduction):
    x, y, formula = BY_HAND[name]
    expected = formula(x, y)
    expected = {"none": expected, "sum": expected.sum(), "mean": expected.mean()}[reduction]
    loss = getattr(F, name)(tg.tensor(x), tg.tensor(y), reduction=reduction)
    assert loss.shape == np.shape(expected)
    np.testing.assert_allclose(loss.array, expected, 1e-10)


@pytest.mark.parametrize("name", BY_HAND)
def test_gradients(name):
    x, y, _ = BY_HAND[name]
    x, y = tg.tensor(x, requires_grad=True), tg.tensor(y)
    function = getattr(F, name)
    function(x, y).backward()

    def value():
        with tg.no_grad():
            return function(x, y).item()

    np.testing.assert_allclose(x.grad.array, numerical_gradient(value, x.array), 1e-5, 1e-8)


def test_cross_entropy_gradient_is_softmax_minus_one_hot():
    z = tg.tensor(LOGITS, requires_grad=True)
    F.cross_entropy(z, tg.tensor(LABELS)).backward()
    p = np.exp(log_softmax(LOGITS))
    np.testing.assert_allclose(z.grad.array, (p - np.eye(4)[LABELS]) / 6, 1e-9, 1e-12)


def test_huge_logits_stay_finite():
    z = tg.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = F.cross_entropy(z, tg.tensor([1]))
    loss.backward()
    assert loss.item() == 2e4
    assert np.isfinite(z.grad.array).all()
    z = tg.tensor([1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(z, tg.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == 1e4
    np.testing.assert_allclose(z.grad.array, [0.5, -0.5])


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_bce_at_0_and_1_is_held_at_100(dtype):
    """As in PyTorch the log is at least -100; the gradient stays finite."""
    p = tg.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype, requires_grad=True)
    loss = F.binary_cross_entropy(p, tg.tensor([1.0, 0.0, 0.0, 1.0], dtype=dtype), reduction="none")
    np.testing.assert_array_equal(loss.array, [100, 100, 0, 0])
    loss.sum().backward()
    assert np.isfinite(p.grad.array).all()


def test_the_graph_of_cross_entropy_is_the_textbooks():
    """The ops of the reference picture, in order, inside one box that is the loss."""
    z = tg.tensor(LOGITS, requires_grad=True)
    loss = F.cross_entropy(z, tg.tensor(LABELS))
    graph = tg.autograd.graph_of(loss)
    titles = [v.title for v in graph.vertices if v.role in ("op", "output") and not v.detached]
    assert titles == ["Sub", "Exp", "Sum", "Log", "Sub", "Pick", "Mean", "Neg"]
    names = {v.name for v in graph.vertices}
    assert {"s", "log p", "L"} <= names
    assert [(s.is_loss, s.detail) for s in graph.scopes] == [(True, "softmax cross-entropy, from primitive ops")]


def test_the_module_adds_no_second_box():
    z = tg.tensor(LOGITS, requires_grad=True)
    graph = tg.autograd.graph_of(tg.nn.CrossEntropyLoss()(z, tg.tensor(LABELS)))
    assert len(graph.scopes) == 1


def test_the_mean_of_nothing_is_nan():
    empty = tg.zeros(0, 3)
    assert np.isnan(F.cross_entropy(empty, tg.zeros(0, dtype=tg.int64)).item())
    assert np.isnan(F.mse_loss(empty, empty).item())
    assert F.cross_entropy(empty, tg.zeros(0, dtype=tg.int64), reduction="sum").item() == 0
    assert np.isnan(F.cross_entropy(tg.zeros(2, 3), tg.tensor([-100, -100])).item())


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (tg.errors.LabelError, r"target\[1\] is 4, but the 4 classes of input \(3, 4\) have the labels 0 to 3",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.tensor([0, 4, 1]))),
        (IndexError, r"Do the labels start at 1\?.*Target 4 is out of bounds",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.tensor([1, 4, 2]))),
        (tg.errors.LabelError, r"target\[0, 2\] is -1, but",
         lambda: F.nll_loss(tg.zeros(1, 4, 3), tg.tensor([[0, 1, -1]]))),
        (tg.errors.LabelError, "target is 9, but", lambda: F.cross_entropy(tg.zeros(4), tg.tensor(9))),
        (ValueError, r"Expected input batch_size \(3\) to match target batch_size \(2\)",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.tensor([0, 1]))),
        (tg.errors.ShapeError, r"Expected target size \[3, 5\], got \[3, 4\]",
         lambda: F.nll_loss(tg.zeros(3, 4, 5), tg.zeros(3, 4, dtype=tg.int64))),
        (tg.errors.ShapeError, r"target.squeeze\(1\) would fit",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.zeros(3, 1, dtype=tg.int64))),
        (ValueError, "Expected 1 or more dimensions",
         lambda: F.nll_loss(tg.tensor(0.0), tg.tensor(0))),
        (tg.errors.DTypeError, "expected target dtype to be Long or Byte, but got tinygrad_edu.float32.*long()",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.zeros(3))),
        (tg.errors.DTypeError, "Expected floating point type for target with class probabilities",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.zeros(3, 4, dtype=tg.int64))),
        (tg.errors.DTypeError, "must be floating point",
         lambda: F.cross_entropy(tg.zeros(3, 4, dtype=tg.int64), tg.zeros(3, dtype=tg.int64))),
        (RuntimeError, "ignore_index is not supported for floating point target",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.zeros(3, 4), ignore_index=1)),
        (RuntimeError, "label_smoothing must be between 0.0 and 1.0. Got: 2",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.zeros(3, dtype=tg.int64), label_smoothing=2)),
        (RuntimeError, "either for all 4 classes or no classes but got weight tensor of shape: .3.",
         lambda: F.cross_entropy(tg.zeros(3, 4), tg.zeros(3, dtype=tg.int64), tg.zeros(3))),
        (tg.errors.DTypeError, "weight is tinygrad_edu.float64",
         lambda: F.cross_entropy(tg.zeros(1, 2), tg.tensor([0]), tg.zeros(2, dtype=tg.float64))),
        (tg.errors.ShapeError, r"input is \(3,\) and target \(4,\); they must have the same shape",
         lambda: F.mse_loss(tg.zeros(3), tg.zeros(4))),
        (tg.errors.DTypeError, "convert them with .float()",
         lambda: F.l1_loss(tg.tensor([1]), tg.tensor([2]))),
        (ValueError, "Please ensure they have the same size",
         lambda: F.binary_cross_entropy(tg.zeros(3), tg.zeros(4))),
        (RuntimeError, "all elements of input should be between 0 and 1",
         lambda: F.binary_cross_entropy(tg.tensor([0.5, 1.5]), tg.zeros(2))),
        (RuntimeError, "between 0 and 1",
         lambda: F.binary_cross_entropy(tg.tensor([float("nan")]), tg.zeros(1))),
        (ValueError, r"Target size \(\(3,\)\) must be the same as input size \(\(3, 1\)\)",
         lambda: F.binary_cross_entropy_with_logits(tg.zeros(3, 1), tg.zeros(3))),
        (RuntimeError, "non-positive values for delta", lambda: F.huber_loss(tg.zeros(1), tg.zeros(1), delta=0)),
        (RuntimeError, "negative values for beta", lambda: F.smooth_l1_loss(tg.zeros(1), tg.zeros(1), beta=-1)),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", BY_HAND)
def test_unknown_reduction(name):
    x, y, _ = BY_HAND[name]
    with pytest.raises(ValueError, match="average is not a valid value for reduction"):
        getattr(F, name)(tg.tensor(x), tg.tensor(y), reduction="average")


def test_a_target_that_broadcasts_warns():
    with pytest.warns(UserWarning, match=r"target size \(4,\) that is different to the input size \(4, 1\)"):
        F.mse_loss(tg.zeros(4, 1), tg.zeros(4))


# -- PyTorch ----------------------------------------------------------------------------------------------------------


def same_as_torch(name, x, y, weight=None, module=None, **options):
    torch = pytest.importorskip("torch")

    def run(lib):
        z = lib.tensor(x, requires_grad=True)
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        w = None if weight is None else lib.tensor(weight)
        if module:
            given |= {} if w is None else {"weight": w}
            loss = getattr(lib.nn, module)(**given)(z, lib.tensor(y))
        elif weight is None:
            loss = getattr(lib.nn.functional, name)(z, lib.tensor(y), **given)
        else:
            loss = getattr(lib.nn.functional, name)(z, lib.tensor(y), weight=w, **given)
        u = np.random.default_rng(2).standard_normal(tuple(loss.shape))
        loss.backward(lib.tensor(u))
        return loss, z.grad

    (loss, grad), (expected, other) = run(tg), run(torch)
    np.testing.assert_allclose(loss.detach().array, expected.detach().numpy(), 1e-10, 1e-12)
    np.testing.assert_allclose(grad.array, other.numpy(), 1e-9, 1e-12)


REDUCTIONS = ["none", "mean", "sum"]


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(4,), (6, 4), (3, 4, 2), (2, 4, 2, 3)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_labels(reduction, shape):
    rng = np.random.default_rng(1)
    z = rng.standard_normal(shape)
    places = shape[:0] if len(shape) == 1 else (shape[0], *shape[2:])
    labels = np.asarray(rng.integers(0, 4, places))
    for weight, ignore_index, smoothing in itertools.product((None, WEIGHT), (-100, 1), (0.0, 0.3)):
        if ignore_index == 1 and reduction == "mean" and not places:
            continue  # nothing may be left: PyTorch gives nan for both, compared elsewhere
        options = {"ignore_index": ignore_index, "label_smoothing": smoothing, "reduction": reduction}
        same_as_torch("cross_entropy", z, labels, weight, "CrossEntropyLoss", **options)
        if not smoothing:
            options.pop("label_smoothing")
            same_as_torch("nll_loss", log_softmax(z, int(len(shape) > 1)), labels, weight, **options)


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(4,), (6, 4), (3, 4, 2)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_of_probabilities(reduction, shape):
    rng = np.random.default_rng(1)
    z, y = rng.standard_normal(shape), rng.random(shape)
    for weight, smoothing in itertools.product((None, WEIGHT), (0.0, 0.3)):
        same_as_torch("cross_entropy", z, y, weight, label_smoothing=smoothing, reduction=reduction)


@pytest.mark.torch
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "module", "options"),
    [
        ("mse_loss", "MSELoss", {}),
        ("l1_loss", "L1Loss", {}),
        ("smooth_l1_loss", "SmoothL1Loss", {}),
        ("smooth_l1_loss", "SmoothL1Loss", {"beta": 0.3}),
        ("smooth_l1_loss", "SmoothL1Loss", {"beta": 0}),
        ("huber_loss", "HuberLoss", {"delta": 1.7}),
        ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", {}),
        ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", {"pos_weight": WEIGHT}),
        ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", {"weight": WEIGHT}),
    ],
)
def test_losses_of_numbers(name, module, options, reduction):
    options = dict(options)
    weight = options.pop("weight", None)
    same_as_torch(name, LOGITS, TARGET, weight, module, reduction=reduction, **options)


@pytest.mark.torch
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_bce(reduction, weight):
    same_as_torch("binary_cross_entropy", PROBABILITIES, TARGET, weight, "BCELoss", reduction=reduction)


@pytest.mark.torch
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.filterwarnings("ignore:reduction. .mean.")
def test_kl_div(reduction, log_target):
    y = PROBABILITIES.copy()
    y[0, 0] = 0 if not log_target else y[0, 0]
    options = {"reduction": reduction, "log_target": log_target}
    same_as_torch("kl_div", log_softmax(LOGITS), np.log(y) if log_target else y, None, "KLDivLoss", **options)


@pytest.mark.torch
@pytest.mark.parametrize(
    "name", ["CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss",
             "BCEWithLogitsLoss", "KLDivLoss", "CosineSimilarity"]
)  # fmt: skip
def test_repr_and_state(name):
    torch = pytest.importorskip("torch")
    assert repr(getattr(tg.nn, name)()) == repr(getattr(torch.nn, name)())
    if name in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss"):
        ours, theirs = getattr(tg.nn, name)(weight=tg.ones(2)), getattr(torch.nn, name)(weight=torch.ones(2))
        assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("rows", [3, 500])
def test_a_batch_of_ignored_labels_has_no_gradient(loss, rows):
    x = tg.randn(rows, 4, requires_grad=True)
    value = loss(x, tg.full((rows,), -100))
    value.backward()
    assert np.isnan(value.item())
    assert not x.grad.array.any()
