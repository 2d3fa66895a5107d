"""Every layer against PyTorch's, weights copied: output, gradients, state, repr; and the initial weights."""

from __future__ import annotations

import numpy as np
import pytest
from nn_checks import compare

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:Using padding=.same.")]


def make(name, *args, **kwargs):
    """The same layer here and there."""
    return getattr(tg.nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)


LAYERS = [
    ("Linear", (4, 3), {}, (5, 4)),
    ("Linear", (4, 3), {"bias": False}, (5, 4)),
    ("Linear", (4, 3), {}, (4,)),
    ("Linear", (4, 3), {}, (2, 3, 4)),
    ("Linear", (4, 3), {}, (0, 4)),
    ("Conv2d", (2, 4, 3), {}, (3, 2, 6, 7)),
    ("Conv2d", (2, 4, 3), {}, (2, 6, 7)),
    ("Conv2d", (2, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, (3, 2, 6, 7)),
    ("Conv2d", (4, 6, 3), {"groups": 2, "bias": False}, (2, 4, 5, 5)),
    ("Conv2d", (2, 3, 3), {"padding": "same"}, (2, 2, 5, 6)),
    ("Conv2d", (2, 3, (2, 4)), {"padding": "same", "dilation": (1, 2)}, (2, 2, 7, 8)),
    ("Conv2d", (2, 3, 3), {"padding": "valid"}, (2, 2, 5, 6)),
    ("Conv2d", (2, 3, 3), {"padding": 1, "padding_mode": "reflect"}, (2, 2, 5, 6)),
    ("Conv2d", (2, 3, 3), {"padding": (2, 1), "padding_mode": "replicate"}, (2, 2, 5, 6)),
    ("Conv2d", (2, 3, 3), {"padding": "same", "padding_mode": "circular"}, (2, 2, 5, 6)),
    ("Conv1d", (2, 3, 3), {"stride": 2, "padding": 1}, (2, 2, 9)),
    ("Conv1d", (2, 3, 3), {"padding": "same", "dilation": 2}, (2, 9)),
    ("MaxPool2d", (2,), {}, (2, 3, 6, 5)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 6, 5)),
    ("MaxPool2d", ((2, 3),), {"stride": 1, "dilation": (1, 2)}, (3, 6, 7)),
    ("AvgPool2d", (2,), {}, (2, 3, 6, 5)),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 6, 5)),
    ("AvgPool2d", ((2, 3),), {"ceil_mode": True, "divisor_override": 4}, (3, 6, 7)),
    ("AdaptiveAvgPool2d", (2,), {}, (2, 3, 6, 4)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 5)),
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": None, "eps": 1e-3}, (5, 3, 4)),
    ("BatchNorm1d", (3,), {"affine": False}, (5, 3)),
    ("BatchNorm1d", (3,), {"track_running_stats": False}, (5, 3)),
    ("BatchNorm1d", (3,), {"bias": False}, (5, 3)),
    ("BatchNorm2d", (3,), {}, (4, 3, 2, 3)),
    ("BatchNorm2d", (3,), {"affine": False, "momentum": 0.3}, (4, 3, 2, 3)),
    ("BatchNorm2d", (3,), {}, (0, 3, 2, 3)),
    ("LayerNorm", (4,), {}, (3, 4)),
    ("LayerNorm", ((2, 4),), {"bias": False}, (3, 2, 4)),
    ("LayerNorm", ((2, 4),), {"elementwise_affine": False}, (3, 2, 4)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Unflatten", (1, (2, 3)), {}, (4, 6)),
    ("Identity", (), {}, (2, 3)),
    ("Dropout", (0.0,), {}, (2, 3)),
    ("Dropout", (1.0,), {}, (2, 3)),
    ("Dropout2d", (1.0,), {}, (2, 3, 2, 2)),
    ("ReLU", (), {}, (3, 4)),
    ("LeakyReLU", (0.2,), {}, (3, 4)),
    ("PReLU", (), {}, (3, 4)),
    ("PReLU", (4,), {"init": 0.1}, (3, 4)),
    ("PReLU", (2,), {}, (3, 2, 2, 2)),
    ("ELU", (1.5,), {}, (3, 4)),
    ("SELU", (), {}, (3, 4)),
    ("GELU", (), {}, (3, 4)),
    ("GELU", ("tanh",), {}, (3, 4)),
    ("SiLU", (), {}, (3, 4)),
    ("Mish", (), {}, (3, 4)),
    ("Softplus", (), {}, (3, 4)),
    ("Softplus", (2.0, 1.0), {}, (3, 4)),
    ("Hardtanh", (-0.5, 0.7), {}, (3, 4)),
    ("ReLU6", (), {}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("LogSigmoid", (), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4)),
    ("LogSoftmax", (-1,), {}, (3, 4)),
]


def named(case):
    return f"{case[0]}-{case[1]}-{case[2]}-{case[3]}"


@pytest.mark.parametrize("case", LAYERS, ids=named)
def test_training(case):
    name, args, kwargs, shape = case
    x = np.random.default_rng(0).standard_normal(shape) * 2
    compare(torch, *make(name, *args, **kwargs), x, steps=3)


@pytest.mark.parametrize("case", [c for c in LAYERS if "Norm" in c[0] or "Dropout" in c[0]], ids=named)
def test_evaluation(case):
    name, args, kwargs, shape = case
    ours, theirs = make(name, *args, **kwargs)
    x = np.random.default_rng(0).standard_normal(shape)
    if shape[0]:
        compare(torch, ours, theirs, x)
    compare(torch, ours.eval(), theirs.eval(), x)


@pytest.mark.parametrize("case", LAYERS, ids=named)
def test_repr(case):
    name, args, kwargs, _ = case
    ours, theirs = make(name, *args, **kwargs)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "ELU", "SELU", "SiLU", "Mish", "Hardtanh", "ReLU6", "Dropout"])
def test_in_place(name):
    """The input itself changes, and the gradient flows back through what it was."""
    option = {"p": 0.0} if name == "Dropout" else {}
    ours, theirs = make(name, inplace=True, **option)
    assert repr(ours) == repr(theirs)
    a = np.random.default_rng(0).standard_normal((3, 4)) * 2
    x, y = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    hidden, other = x * 1.5, y * 1.5
    out = ours(hidden)
    assert out is hidden
    (out * out).sum().backward()
    (theirs(other) ** 2).sum().backward()
    np.testing.assert_allclose(hidden.array, other.detach().numpy(), 1e-12)
    np.testing.assert_allclose(x.grad.array, y.grad.numpy(), 1e-10)


def test_in_place_on_a_leaf():
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        tg.nn.ELU(inplace=True)(tg.ones(2, requires_grad=True))


def test_bilinear():
    rng = np.random.default_rng(0)
    x1, x2 = rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    compare(torch, *make("Bilinear", 2, 3, 4), x1, x2)
    ours, theirs = make("Bilinear", 2, 3, 4, bias=False)
    assert repr(ours) == repr(theirs)


def test_cosine_similarity():
    rng = np.random.default_rng(0)
    compare(torch, *make("CosineSimilarity"), rng.standard_normal((5, 2)), rng.standard_normal((5, 2)))


def test_embedding():
    ours, theirs = make("Embedding", 5, 3, padding_idx=1)
    assert repr(ours) == repr(theirs)
    assert (ours.weight.array[1] == 0).all()
    theirs.load_state_dict({"weight": torch.from_numpy(ours.weight.array.copy())})
    labels = np.array([[0, 1, 4], [4, 4, 1]])
    u = np.random.default_rng(0).standard_normal((2, 3, 3)).astype(np.float32)
    out, expected = ours(tg.tensor(labels)), theirs(torch.tensor(labels))
    np.testing.assert_array_equal(out.array, expected.detach().numpy())
    out.backward(tg.tensor(u))
    expected.backward(torch.tensor(u))
    np.testing.assert_allclose(ours.weight.grad.array, theirs.weight.grad.numpy(), 1e-6)


def test_max_pool_indices():
    a = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    ours, theirs = make("MaxPool2d", 3, 2, 1, return_indices=True)
    for mine, other in zip(ours(tg.tensor(a)), theirs(torch.tensor(a)), strict=True):
        np.testing.assert_array_equal(mine.array, other.numpy())


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("counts", [(1, 2), (2, 1, 0, 3), (0, 0, 2, 0)])
def test_pad(mode, counts):
    a = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    x, y = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    if mode != "constant" and len(counts) != 4:
        a = a[0]
        x, y = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    out = tg.nn.functional.pad(x, counts, mode)
    expected = torch.nn.functional.pad(y, counts, mode)
    np.testing.assert_array_equal(out.array, expected.detach().numpy())
    u = np.random.default_rng(1).standard_normal(out.shape)
    out.backward(tg.tensor(u))
    expected.backward(torch.tensor(u))
    np.testing.assert_allclose(x.grad.array, y.grad.numpy(), 1e-12)


@pytest.mark.parametrize("p", [1, 2, 3, float("inf")])
def test_normalize(p):
    a = np.random.default_rng(0).standard_normal((3, 4))
    x, y = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    out, expected = tg.nn.functional.normalize(x, p), torch.nn.functional.normalize(y, p)
    np.testing.assert_allclose(out.array, expected.detach().numpy(), 1e-12)
    out.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.array, y.grad.numpy(), 1e-9, 1e-12)


def test_normalize_of_zeros_has_a_finite_gradient():
    x = tg.zeros(2, 3, requires_grad=True)
    tg.nn.functional.normalize(x).sum().backward()
    assert np.isfinite(x.grad.array).all()


@pytest.mark.parametrize(
    ("name", "args"),
    [("Linear", (30, 50)), ("Conv2d", (4, 50, 3)), ("Conv2d", (8, 50, 3, 1, 0, 1, 2)), ("Conv1d", (4, 50, 5))],
)
def test_default_initialisation_is_uniform_within_pytorchs_bound(name, args):
    tg.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = make(name, *args)
    fan_in = np.prod(ours.weight.shape[1:])
    for parameter, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        bound = 1 / np.sqrt(fan_in)
        size = np.abs(parameter.array).max()
        assert 0.85 * bound < size <= bound
        assert abs(parameter.array.std() / (bound / np.sqrt(3)) - 1) < 0.25
        assert np.abs(other.detach().numpy()).max() <= bound * (1 + 1e-6)


def test_a_whole_network_trains_like_pytorchs():
    """Twenty steps of SGD on a small convolutional network follow the same path, in float64."""

    def network(nn):
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(27, 5),
        )

    ours, theirs = network(tg.nn).double(), network(torch.nn).double()
    theirs.load_state_dict({k: torch.from_numpy(v.array.copy()) for k, v in ours.state_dict().items()})
    assert repr(ours) == repr(theirs)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 1, 6, 6)), rng.integers(0, 5, 8)
    first, second = tg.optim.SGD(ours.parameters(), 0.1, 0.9), torch.optim.SGD(theirs.parameters(), 0.1, 0.9)
    for _ in range(20):
        for lib, model, optimizer in ((tg, ours, first), (torch, theirs, second)):
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(model(lib.tensor(x)), lib.tensor(y))
            loss.backward()
            optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.array, other.detach().numpy(), 1e-7, 1e-9)
