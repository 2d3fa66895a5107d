"""Hooks on forward and backward: order, replacement, errors, and agreement with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn


def two(lib):
    """A module with two inputs, something else between them, and two outputs."""

    class Two(lib.nn.Module):
        def forward(self, x, number, y):
            return x * y * number, (x + y).sum()

    return Two()


@pytest.mark.torch
def test_full_backward_hooks_see_what_pytorchs_see():
    torch = pytest.importorskip("torch")
    seen = []
    for lib in (tg, torch):
        module, found = two(lib), []
        module.register_full_backward_hook(lambda m, gi, go, found=found: found.append((gi, go)))
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = lib.tensor([3.0, 5.0], requires_grad=True)
        product, total = module(x, 2.0, y)
        (product.sum() * 3 + total * total).backward()
        assert len(found) == 1
        inputs, outputs = found[0]
        assert inputs[1] is None
        seen.append([g.numpy() for g in (inputs[0], inputs[2], *outputs, x.grad, y.grad)])
    for mine, other in zip(*seen, strict=True):
        np.testing.assert_allclose(mine, other)


def test_a_backward_hook_replaces_the_gradients_of_inputs():
    module = two(tg)
    module.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10, None, gi[2] * 0))
    x, y = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    product, _ = module(x, 2.0, y)
    product.sum().backward()
    assert x.grad.tolist() == [20, 20] and y.grad.tolist() == [0, 0]


def test_a_backward_pre_hook_replaces_the_gradients_of_outputs():
    layer, order = nn.Linear(2, 2, bias=False), []
    layer.register_full_backward_pre_hook(lambda m, go: order.append("pre"))
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 100,), prepend=True)
    layer.register_full_backward_hook(lambda m, gi, go: order.append(("post", go[0].tolist())))
    x = tg.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert order == ["pre", ("post", [[100, 100]])]
    np.testing.assert_allclose(layer.weight.grad.array, 100)


def test_backward_hooks_are_removed_and_ordered():
    layer, order = nn.ReLU(), []
    handles = [layer.register_full_backward_hook(lambda m, gi, go, i=i: order.append(i)) for i in range(2)]
    layer.register_full_backward_hook(lambda m, gi, go: order.append("first"), prepend=True)
    x = tg.ones(2, requires_grad=True)
    layer(x * 1).sum().backward()
    assert order == ["first", 0, 1]
    handles[0].remove()
    layer(x * 1).sum().backward()
    assert order[3:] == ["first", 1]


def test_without_inputs_that_require_grad():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].item())))
    out = layer(tg.ones(1, 2)).sum()
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        out.backward()
    assert seen == [((None,), 1.0)] and layer.weight.grad is not None


def test_nothing_is_called_without_a_graph():
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda m, gi, go: pytest.fail("called"))
    with tg.no_grad():
        layer(tg.ones(1, 2, requires_grad=True))


def test_hooks_under_a_recorded_backward():
    """The hook's gradients have gradients: the derivative of x³ through a hook that doubles."""

    class Cube(nn.Module):
        def forward(self, x):
            return x * x * x

    module = Cube()
    module.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
    x = tg.tensor(2.0, requires_grad=True)
    (first,) = tg.autograd.grad(module(x), [x], create_graph=True)
    assert first.item() == 24 and tg.autograd.grad(first, [x])[0].item() == 24


@pytest.mark.parametrize(
    ("words", "register"),
    [
        ("invalid number of grad_input, got 1, but expected 3",
         lambda m: m.register_full_backward_hook(lambda m, gi, go: (gi[0],))),
        ("invalid number of grad_output, got 3, but expected 2",
         lambda m: m.register_full_backward_pre_hook(lambda m, go: (1, 2, 3))),
    ],
)  # fmt: skip
def test_refused(words, register):
    module = two(tg)
    register(module)
    product, _ = module(tg.ones(2, requires_grad=True), 1.0, tg.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match=words):
        product.sum().backward()


def test_the_deprecated_hook_names_its_successor():
    with pytest.raises(NotImplementedError, match="use register_full_backward_hook"):
        nn.ReLU().register_backward_hook(lambda *args: None)


def test_a_hook_that_is_always_called():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    module, seen = Fails(), []
    module.register_forward_hook(lambda m, args, out: seen.append("usual"))
    module.register_forward_hook(lambda m, args, out: seen.append(("always", out)), always_call=True)
    with pytest.raises(ValueError, match="no"):
        module(1)
    assert seen == [("always", None)]

    def broken(m, args, out):
        raise KeyError("other")

    module.register_forward_hook(broken, always_call=True)
    with pytest.warns(UserWarning, match="silenced as another error"), pytest.raises(ValueError, match="no"):
        module(1)


def test_a_watched_layer_is_not_fused_with_the_relu_after_it():
    net, seen = nn.Sequential(nn.Linear(64, 64), nn.ReLU()), []
    net[0].register_full_backward_hook(lambda m, gi, go: seen.append(go[0].shape))
    x = tg.randn(64, 64, requires_grad=True)
    net(x).sum().backward()
    assert seen == [(64, 64)]


# -- what a module converts, and parts of it --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["half", "bfloat16"])
def test_missing_dtypes(name):
    with pytest.raises(NotImplementedError, match="use .float.. or .double"):
        getattr(nn.Linear(2, 2), name)()


def test_other_conversions():
    layer = nn.Linear(2, 2)
    assert layer.type(tg.float64).weight.dtype is tg.float64 and layer.cpu() is layer
    with pytest.raises(RuntimeError, match="cuda"):
        layer.cuda()
    with pytest.raises(TypeError, match="unexpected arguments"):
        layer.to(dtypes=tg.float32)


def test_set_submodule():
    net = nn.Sequential(nn.Sequential(nn.ReLU()))
    net.set_submodule("0.0", nn.Tanh())
    assert isinstance(net[0][0], nn.Tanh)
    with pytest.raises(ValueError, match="without a target name"):
        net.set_submodule("", nn.Tanh())
    with pytest.raises(AttributeError, match="no attribute"):
        net.set_submodule("1.0", nn.Tanh())
