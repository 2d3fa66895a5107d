"""autograd.functional: Jacobians, Hessians and products, against formulas, each other and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu.autograd import functional
from tinygrad_edu.testing import assert_close

MATRIX = np.array([[2.0, 1.0, 0.5], [-1.0, 5.0, 0.25]])
POINT = np.array([0.3, -0.4, 1.2])


def double(values, **options):
    return t.tensor(np.asarray(values, np.float64), **options)


def test_jacobian_of_a_linear_map_is_its_matrix():
    a = double(MATRIX)
    assert_close(functional.jacobian(lambda x: a @ x, double(POINT)), MATRIX)


def test_shapes_of_several_inputs_and_outputs():
    x, y = double(np.ones((2, 3))), double(np.ones(4))

    def f(x, y):
        return x.sum() * y, x * 2, x.sum()

    rows = functional.jacobian(f, (x, y))
    assert [[tuple(block.shape) for block in row] for row in rows] == [
        [(4, 2, 3), (4, 4)],
        [(2, 3, 2, 3), (2, 3, 4)],
        [(2, 3), (4,)],
    ]
    assert (rows[1][1] == 0).all() and rows[2][1].tolist() == [0.0] * 4
    assert isinstance(functional.jacobian(t.exp, (y,)), tuple)
    assert functional.jacobian(lambda y: y[:0], y).shape == (0, 4)


def test_hessian_of_a_quadratic_and_of_two_inputs():
    a = double(MATRIX.T @ MATRIX)
    assert_close(functional.hessian(lambda x: 0.5 * (x @ a @ x), double(POINT)), MATRIX.T @ MATRIX)
    x, y = double([1.0, 2.0]), double([3.0])
    (hxx, hxy), (hyx, hyy) = functional.hessian(lambda x, y: (x**2 * y).sum() + y.sum() ** 3, (x, y))
    assert_close(hxx, np.diag([6.0, 6.0]))
    assert_close(hxy, [[2.0], [4.0]])
    assert_close(hyx, [[2.0, 4.0]])
    assert_close(hyy, [[18.0]])
    assert (functional.hessian(lambda x: x.sum(), x) == 0).all()


def function(x):
    return t.stack([(x * x).sum(), x[0] * x[1].exp(), x[2].sin()])


def energy(x):
    return (x[0] * x[1]).exp() + x[2] ** 3 * x[0]


def test_products_agree_with_the_matrices():
    x, v = double(POINT), double([0.7, -1.1, 0.2])
    jacobian, hessian = functional.jacobian(function, x), functional.hessian(energy, x)
    out, left = functional.vjp(function, x, v)
    assert_close(out, function(x))
    assert_close(left, v @ jacobian)
    out, right = functional.jvp(function, x, v)
    assert_close(out, function(x))
    assert_close(right, jacobian @ v)
    for product in (functional.vhp, functional.hvp):
        out, both = product(energy, x, v)
        assert_close(out, energy(x))
        assert_close(both, hessian @ v)
        assert not out.requires_grad and not both.requires_grad


def test_a_function_of_one_entry_needs_no_vector():
    x = double([2.0])
    assert functional.vjp(lambda x: x**3, x)[1].tolist() == [12.0]
    assert functional.jvp(lambda x: x**3, x)[1].tolist() == [12.0]
    assert functional.hvp(lambda x: (x**3).sum(), x)[1].tolist() == [12.0]
    assert functional.vhp(lambda x: (x**3).sum(), x)[1].tolist() == [12.0]


def test_create_graph_differentiates_further():
    x = double(POINT, requires_grad=True)
    for compute, expected in (
        (lambda: functional.jacobian(lambda x: x**3, x, create_graph=True), 6 * POINT),
        (lambda: functional.hessian(lambda x: (x**4).sum(), x, create_graph=True), 24 * POINT),
        (lambda: functional.vjp(lambda x: x**3, x, double(np.ones(3)), create_graph=True)[1], 6 * POINT),
        (lambda: functional.jvp(lambda x: x**3, x, double(np.ones(3)), create_graph=True)[1], 6 * POINT),
        (lambda: functional.vhp(lambda x: (x**4).sum(), x, double(np.ones(3)), create_graph=True)[1], 24 * POINT),
        (lambda: functional.hvp(lambda x: (x**4).sum(), x, double(np.ones(3)), create_graph=True)[1], 24 * POINT),
    ):
        x.grad = None
        compute().sum().backward()
        assert_close(x.grad, expected)


def test_inputs_are_left_alone_and_no_grad_does_not_matter():
    x = double(POINT, requires_grad=True)
    with t.no_grad():
        assert_close(functional.jacobian(lambda x: x * x, x), np.diag(2 * POINT))
    assert x.grad is None


def test_strict():
    x = double(POINT)
    for name in ("jacobian", "vjp", "jvp"):
        compute = getattr(functional, name)
        v = () if name == "jacobian" else (double(np.ones(3)),)
        with pytest.raises(RuntimeError, match="Output 0 .* does not require gradients"):
            compute(lambda x: x.detach(), x, *v, strict=True)
        loose = compute(lambda x: x.detach(), x, *v)
        assert ((loose if name == "jacobian" else loose[1]) == 0).all()
    with pytest.raises(RuntimeError, match="independent of input 1"):
        functional.jacobian(lambda x, y: x * 2, (x, x), strict=True)
    with pytest.raises(RuntimeError, match="strict mode"):
        functional.hessian(lambda x: x.sum(), x, strict=True)


def test_errors():
    x = double(POINT)
    with pytest.raises(TypeError, match="value at index 0 of the outputs given to jacobian.*float"):
        functional.jacobian(lambda x: (1.0,), x)
    with pytest.raises(TypeError, match="The inputs given to vjp must be a Tensor.*list|float"):
        functional.vjp(lambda x: x, 1.0)
    with pytest.raises(RuntimeError, match=r"vjp: The vector v can only be None.*output"):
        functional.vjp(lambda x: x, x)
    with pytest.raises(RuntimeError, match=r"jvp: The vector v can only be None.*input"):
        functional.jvp(lambda x: x, x)
    with pytest.raises(RuntimeError, match=r"Entry 0 in v has invalid size"):
        functional.vjp(lambda x: x, x, double(np.ones(2)))
    with pytest.raises(RuntimeError, match="invalid length: should be 1 but got 2"):
        functional.vjp(lambda x: x, x, (x, x))
    for name in ("hessian", "hvp", "vhp"):
        with pytest.raises(RuntimeError, match=rf"{name}: .*single Tensor with one entry"):
            getattr(functional, name)(lambda x: x, x, *(() if name == "hessian" else (x,)))
    for option in ({"vectorize": True}, {"strategy": "forward-mode"}):
        with pytest.raises(NotImplementedError, match="not supported"):
            functional.jacobian(lambda x: x, x, **option)
    with pytest.raises(NotImplementedError, match="outer_jacobian_strategy"):
        functional.hessian(lambda x: x, x, outer_jacobian_strategy="forward-mode")
    with pytest.raises(RuntimeError, match="input 0 is .*int64"):
        functional.jacobian(lambda x: x * 1.0, t.tensor([1, 2]))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = functional.nothing


def as_numpy(value):
    return tuple(as_numpy(v) for v in value) if isinstance(value, tuple) else np.asarray(value.detach())


@pytest.mark.torch
@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "vhp", "hvp"])
@pytest.mark.parametrize("several", [False, True])
def test_against_torch(name, several):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x, y, v, w = (rng.standard_normal(n) for n in (3, 2, 3, 2))
    scalar = name in ("hessian", "vhp", "hvp")

    def run(lib, make):
        def f(x, y=None):
            if scalar:
                return (x**3).sum() if y is None else (x[0] * y).exp().sum() + (x**3).sum()
            return x * x.sum() if y is None else (x[:2] * y, x.sum() * y[0])

        inputs = (make(x), make(y)) if several else make(x)
        vectors = (make(v), make(w)) if several else make(v)
        if several and name == "vjp":
            vectors = (make(w), make(np.array(1.5)))
        compute = getattr(lib.autograd.functional, name)
        return compute(f, inputs) if name in ("jacobian", "hessian") else compute(f, inputs, vectors)

    ours = as_numpy(run(t, lambda a: t.tensor(a)))
    theirs = as_numpy(run(torch, torch.tensor))

    def compare(a, b):
        if isinstance(b, tuple):
            assert isinstance(a, tuple) and len(a) == len(b)
            for left, right in zip(a, b, strict=True):
                compare(left, right)
        else:
            assert_close(a, b, rtol=1e-10)

    compare(ours, theirs)
