"""A compiled function gives what the function gives: values, gradients, second derivatives, training."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from compile_cases import assert_equals_eager, was_compiled
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim

UNARY = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "erf": torch.erf,
    "neg": lambda x: -x,
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "abs": abs,
    "exp": lambda x: torch.exp(torch.tanh(x)),
    "log": lambda x: torch.log(x * x + 0.5),
    "log1p": lambda x: torch.log1p(x * x),
    "sqrt": lambda x: torch.sqrt(x * x + 1),
    "rsqrt": lambda x: torch.rsqrt(x * x + 1),
    "reciprocal": lambda x: 1 / (x * x + 1),
    "sin": torch.sin,
    "clamp": lambda x: x.clamp(-1, 0.7),
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "elu": F.elu,
    "hardtanh": F.hardtanh,
    "shift": lambda x: 0.5 - x,
    "detach": lambda x: x.detach() * 0.3 + x,
    "masked": lambda x: torch.where((x > 0.2) & ~(x > 1.5), x * 3, x - 1),
    "T": lambda x: (x.T * 2).T,
    "centred": lambda x: x - x.mean(),
    "softmax": lambda x: F.softmax(x, -1) if x.ndim else x,
    "normed": lambda x: x / (1 + x.square().sum(-1, keepdim=True)) if x.ndim else x,
    "top": lambda x: x - x.amax(),
}
BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / (y * y + 1),
    "max": torch.maximum,
    "min": torch.minimum,
    "where": lambda x, y: torch.where(x > y, x, y * 2),
}


@st.composite
def expressions(draw):
    """A program as (name, operands) lines over three inputs, the last line its result."""
    count, lines = 3, []
    for _ in range(draw(st.integers(2, 9))):
        if draw(st.booleans()):
            lines.append((draw(st.sampled_from(sorted(UNARY))), draw(st.integers(0, count - 1)), 0))
        else:
            lines.append(
                (
                    draw(st.sampled_from(sorted(BINARY))),
                    draw(st.integers(0, count - 1)),
                    draw(st.integers(0, count - 1)),
                )
            )
        count += 1
    return lines


def evaluate(lines, *inputs):
    values = list(inputs)
    for name, i, j in lines:
        values.append(UNARY[name](values[i]) if name in UNARY else BINARY[name](values[i], values[j]))
    return values[-1] * 1.0


SHAPES = [((4, 5), (5,), ()), ((4, 5), (4, 1), (5,)), ((2, 3, 4), (3, 1), (4,)), ((6,), (6,), (1,)), ((), (), ())]


@settings(max_examples=25)
@given(lines=expressions(), shapes=st.sampled_from(SHAPES), seed=st.integers(0, 99))
def test_random_expressions(tmp_path_factory, lines, shapes, seed):
    rng = np.random.default_rng(seed)
    compiled = torch.compile(lambda *xs: evaluate(lines, *xs))
    with pytest.MonkeyPatch.context() as patch:  # kernels that nobody needs again
        patch.setenv("TINYGRAD_EDU_COMPILE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))
        assert_equals_eager(compiled, [rng.standard_normal(s) for s in shapes])
    assert was_compiled(compiled), compiled.explain()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shapes",
    [
        [(200, 300), (300,), (200, 1)],
        [(3, 8, 20, 20), (8, 1, 1), (3, 1, 1, 1)],
        [(40, 30, 5), (40, 1, 5), (1, 30, 1)],
        [(70_000,), (1,), ()],
    ],
    ids=str,
)
def test_every_loop_op_on_every_broadcast(shapes, dtype):
    """Sizes that are fused, below and above the size at which loops are parallel."""
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in shapes]

    def f(x, y, z):
        a = torch.tanh(x * y) + torch.sigmoid(x - z) * torch.relu(y + z)
        b = torch.exp(-(x * x)) / (1 + torch.sqrt(z * z + 1)) + torch.erf(a) * torch.rsqrt(y * y + 2)
        c = torch.where((a > 0) | (b < 0.1), a.clamp(-0.5, 0.9), torch.minimum(a, b)) + torch.log1p(abs(y))
        return torch.maximum(c, torch.log(a * a + 1.5)) - F.softplus(b) ** 3 + 1 / (2 + c.square())

    compiled = torch.compile(f)
    assert_equals_eager(compiled, arrays, dtype)
    assert was_compiled(compiled) and "loop over" in compiled.explain()


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "erf", "log", "log1p", "sqrt", "abs", "sign", "exp"])
def test_extreme_values_come_out_as_eager_has_them(name):
    x = torch.tensor([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 88.9, -104.0, 1e-8, 3e38, -1.0] * 300)
    op = getattr(torch, name)
    compiled = torch.compile(lambda v: (op(v) * 1.0 + 0.0) * 1.0)
    y = compiled(x)
    assert "loop over" in compiled.explain()
    np.testing.assert_allclose(y.numpy(), op(x).numpy(), rtol=1e-6, atol=0)


def models():
    yield "mlp", nn.Sequential(nn.Linear(30, 40), nn.SiLU(), nn.Linear(40, 20), nn.Tanh(), nn.Linear(20, 4)), (64, 30)
    yield "norm", nn.Sequential(nn.Linear(30, 40), nn.LayerNorm(40), nn.GELU(), nn.Linear(40, 4)), (64, 30)
    convs = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 3))
    yield "cnn", convs, (20, 1, 8, 8)
    yield "attention", nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True), (8, 10, 16)


@pytest.mark.parametrize(("model", "shape"), [(m, s) for _, m, s in models()], ids=[n for n, _, _ in models()])
def test_twenty_steps_of_training_are_the_same(model, shape):
    torch.manual_seed(0)
    twin = copy.deepcopy(model)
    compiled = torch.compile(twin)
    runs = []
    for net, parameters in ((model, model.parameters()), (compiled, twin.parameters())):
        optimizer, losses = optim.Adam(list(parameters), lr=0.01), []
        for step in range(20):
            x = torch.from_numpy(np.random.default_rng(step % 3).standard_normal(shape).astype(np.float32))
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        runs.append(losses)
    np.testing.assert_allclose(runs[1], runs[0], rtol=2e-4)
    assert runs[0][-1] < runs[0][0]
    assert was_compiled(compiled), compiled.explain()


def test_second_derivatives_through_a_model():
    model = nn.Sequential(nn.Linear(3, 16, dtype=torch.float64), nn.Tanh(), nn.Linear(16, 1, dtype=torch.float64))
    compiled = torch.compile(model)
    results = []
    for net in (model, compiled):
        x = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(10, 3).requires_grad_()
        (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        model.zero_grad()
        slope.square().sum().backward()
        results.append([p.grad.numpy().copy() for p in model.parameters() if p.grad is not None])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def rnn_cell(x, h, w, u, b):
    return torch.tanh(x @ w + h @ u + b)


def lstm_cell(x, h, w, u, b):
    i, f, o, g = (x @ w + h @ u + b).chunk(4, -1)
    c = torch.sigmoid(f) * h + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c)


def attention(x, h, w, u, b):
    q, k, v = x @ w, h @ w, h @ u + b
    return F.softmax(q @ k.mT / 2, -1) @ v + F.layer_norm(x @ u, (u.shape[1],))


@pytest.mark.parametrize("cell", [rnn_cell, lstm_cell, attention], ids=lambda f: f.__name__)
@pytest.mark.parametrize("rows", [5, 300])
def test_cells_to_second_order(cell, rows):
    """300 rows: above the sizes at which ops are fused and loops replace NumPy."""
    rng, wide = np.random.default_rng(0), 4 if cell is lstm_cell else 1
    shapes = [(rows, 8), (rows, 8), (8, 8 * wide), (8, 8 * wide), (8 * wide,)]
    compiled = torch.compile(cell)
    assert_equals_eager(compiled, [rng.standard_normal(s) / 3 for s in shapes])
    assert was_compiled(compiled), compiled.explain()


def test_several_results_and_structures():
    def f(x, options):
        a, b = torch.tanh(x) * options["scale"], x.exp() + 1
        return {"a": a, "pair": (b * a, [a - b]), "n": 3}

    compiled = torch.compile(f)
    for use in (lambda r: r["a"].sum(), lambda r: (r["a"] * r["pair"][0]).sum() + r["pair"][1][0].sum()):
        grads = []
        for g in (f, compiled):
            x, s = torch.randn(50, 60, generator=torch.Generator()), torch.ones(60)
            x.requires_grad_(), s.requires_grad_()
            result = g(x, {"scale": s})
            assert result["n"] == 3 and isinstance(result["pair"][1], list)
            use(result).backward()
            grads.append((x.grad, s.grad))
        for a, b in zip(*grads, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-4)
    assert was_compiled(compiled)


def test_several_results_have_second_derivatives():
    compiled = torch.compile(lambda x: (torch.tanh(x), x**3))
    x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    a, b = compiled(x)
    (slope,) = torch.autograd.grad((a * b).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    t, v = np.tanh(x.detach().numpy()), x.detach().numpy()
    s = 1 - t * t
    np.testing.assert_allclose(bend.numpy(), -2 * t * s * v**3 + 2 * s * 3 * v**2 + t * 6 * v, rtol=1e-12)


def test_a_result_that_got_no_gradient_leaves_none_behind():
    compiled = torch.compile(lambda x, y: (x * 2, y * 3))
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    compiled(x, y)[0].sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and y.grad is None


def test_gradients_share_no_memory():
    compiled = torch.compile(lambda x, y: x + y)
    x, y = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    for _ in range(2):
        compiled(x, y).sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and y.grad.tolist() == [2, 2, 2]


def test_a_picture_opens_the_compiled_op():
    compiled = torch.compile(lambda x: torch.tanh(x * 2 + 1))
    x = torch.ones(3, requires_grad=True)
    y = compiled(x)
    out = y.grad_fn.op.composition(x)
    assert out.grad_fn.op.name == "tanh" and out.tolist() == y.tolist()
    with torch.autograd.keep_values():
        assert compiled(x).grad_fn.op.name == "tanh"  # looked at from the start: as written
