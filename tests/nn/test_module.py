"""Module: registration, walking, state, hooks, printing; and Parameter."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.out = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(tg.ones(1))
        self.register_buffer("seen", tg.zeros(2))

    def forward(self, x):
        return self.out(self.norm(self.hidden(x)).relu()) * self.scale


# -- registration -----------------------------------------------------------------------------------------------------


def test_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale",
        "hidden.weight",
        "hidden.bias",
        "norm.weight",
        "norm.bias",
        "out.weight",
    ]
    assert [n for n, _ in net.named_buffers()] == [
        "seen",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    assert [n for n, _ in net.named_modules()] == ["", "hidden", "norm", "out"]
    assert [n for n, _ in net.named_children()] == ["hidden", "norm", "out"]
    assert len(list(net.parameters(recurse=False))) == 1
    assert [n for n, _ in net.named_parameters(prefix="net")][0] == "net.scale"
    assert {"hidden", "scale", "seen", "forward"} <= set(dir(net))


def test_a_shared_parameter_is_listed_once_and_saved_under_both_names():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 1
    assert len(list(net.named_parameters(remove_duplicate=False))) == 2
    assert list(net.state_dict()) == ["0.weight", "1.weight"]


def test_a_shared_module_is_walked_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(net.parameters())) == 2
    assert len(list(net.modules())) == 3
    assert len(list(net.children())) == 2
    net.load_state_dict(net.state_dict())


def test_parameter_gets_the_attributes_name_unless_it_has_one():
    net = Net()
    assert net.scale.name == "scale" and net.hidden.weight.name == "weight" and net.norm.weight.name == "γ"


@pytest.mark.parametrize(
    ("error", "words", "change"),
    [
        (TypeError, "cannot assign 'Tensor' as parameter 'scale'", lambda m: setattr(m, "scale", tg.ones(1))),
        (TypeError, "cannot assign 'Tensor' as child module 'out'", lambda m: setattr(m, "out", tg.ones(1))),
        (TypeError, "cannot assign 'int' as buffer 'seen'", lambda m: setattr(m, "seen", 3)),
        (TypeError, "cannot assign 'Tensor' object to parameter", lambda m: m.register_parameter("p", tg.ones(1))),
        (TypeError, "parameter name should be a string", lambda m: m.register_parameter(3, None)),
        (KeyError, "t contain", lambda m: m.register_buffer("a.b", tg.ones(1))),
        (KeyError, "t be empty", lambda m: m.register_buffer("", tg.ones(1))),
        (KeyError, "attribute 'forward' already exists", lambda m: m.register_buffer("forward", tg.ones(1))),
        (KeyError, "attribute 'scale' already exists", lambda m: m.add_module("scale", nn.ReLU())),
        (TypeError, "cannot assign 'int' object to buffer", lambda m: m.register_buffer("b", 3)),
        (TypeError, "int is not a Module subclass", lambda m: m.add_module("b", 3)),
        (ValueError, "Cannot assign non-leaf Tensor", lambda m: m.register_parameter("p", non_leaf())),
        (AttributeError, "'Net' object has no attribute 'nothing'", lambda m: m.nothing),
        (AttributeError, "Net has no attribute `x`", lambda m: m.get_submodule("x")),
        (AttributeError, "Linear has no attribute `x`", lambda m: m.get_submodule("hidden.x")),
        (AttributeError, "`weight` is not an nn.Module", lambda m: m.get_submodule("hidden.weight")),
        (AttributeError, "Linear has no attribute `x`", lambda m: m.get_parameter("hidden.x")),
        (AttributeError, "`seen` is not an nn.Parameter", lambda m: m.get_parameter("seen")),
        (AttributeError, "`scale` is not a buffer", lambda m: m.get_buffer("scale")),
        (ValueError, "training mode is expected to be boolean", lambda m: m.train(1)),
        (TypeError, "only accepts floating point dtypes", lambda m: m.to(tg.int64)),
        (RuntimeError, "'cuda' is not available", lambda m: m.to("cuda")),
        (NotImplementedError, 'Module .Module. is missing the required "forward" function', lambda m: nn.Module()(1)),
    ],
)
def test_refused(error, words, change):
    with pytest.raises(error, match=words):
        change(Net())


def non_leaf():
    p = nn.Parameter(tg.ones(1))
    p.node = (p * 2).node
    return p


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (nn.Linear(1, 1), "cannot assign module before Module.__init__.. call"),
        (nn.Parameter(tg.ones(1)), "cannot assign parameters before Module.__init__.. call"),
    ],
)
def test_forgotten_super_init(value, words):
    class Forgot(nn.Module):
        def __init__(self):
            self.a = value

    with pytest.raises(AttributeError, match=words):
        Forgot()


def test_forgotten_super_init_is_found_at_the_call():
    class Forgot(nn.Module):
        def __init__(self):
            self.a = 1

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match="call super"):
        Forgot()(1)


def test_replacing_and_deleting():
    net = Net()
    net.scale = None
    assert "scale" not in dict(net.named_parameters())
    net.scale = nn.Parameter(tg.zeros(1))
    net.extra = tg.ones(2)
    assert "extra" not in net.state_dict()
    net.extra = nn.Parameter(tg.ones(2))
    assert "extra" in net.state_dict() and "extra" not in net.__dict__
    del net.extra, net.out, net.seen
    assert not hasattr(net, "extra") and not hasattr(net, "out") and "seen" not in net.state_dict()
    net.kept = nn.Buffer(tg.ones(2))
    net.passing = nn.Buffer(tg.ones(2), persistent=False)
    net.register_buffer("passing2", tg.ones(1), persistent=False)
    assert "kept" in net.state_dict() and len(list(net.buffers(recurse=False))) == 3
    assert not {"passing", "passing2"} & set(net.state_dict())
    net.kept = tg.zeros(3)
    assert net.get_buffer("kept").shape == (3,)
    net.act = nn.ReLU()
    net.act = nn.Tanh()
    assert isinstance(net.get_submodule("act"), nn.Tanh)
    assert net.get_submodule("") is net


# -- what it does to all of them --------------------------------------------------------------------------------------


def test_train_eval_apply_requires_grad():
    net, seen = Net(), []
    assert net.training and net.eval() is net and not net.norm.training and net.train().norm.training
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "Linear", "Net"]
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net.eval()(tg.ones(2, 3)).requires_grad


def test_zero_grad():
    net = Net()
    net(tg.randn(4, 3)).sum().backward()
    held = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is held and (held.array == 0).all()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_double_converts_parameters_gradients_and_buffers_but_not_counters():
    net = Net()
    net(tg.randn(4, 3)).sum().backward()
    weight = net.hidden.weight
    net.double()
    assert net.hidden.weight is weight and weight.dtype is tg.float64 and weight.grad.dtype is tg.float64
    assert net.norm.running_mean.dtype is tg.float64 and net.norm.num_batches_tracked.dtype is tg.int64
    net(tg.randn(4, 3, dtype=tg.float64)).sum().backward()
    assert net.float().cpu().to("cpu").to(tg.float64).to("cpu", tg.float32).scale.dtype is tg.float32


# -- state ------------------------------------------------------------------------------------------------------------


def test_state_round_trip():
    first, second = Net(), Net()
    first(tg.randn(5, 3))
    state = first.state_dict()
    assert set(state) == {*dict(first.named_parameters()), *dict(first.named_buffers())}
    assert repr(second.load_state_dict(state)) == "<All keys matched successfully>"
    x = tg.randn(4, 3)
    np.testing.assert_array_equal(first.eval()(x).detach().array, second.eval()(x).detach().array)
    assert not any(t.requires_grad for t in state.values())
    assert np.shares_memory(state["scale"].array, first.scale.array)
    assert not np.shares_memory(second.scale.array, first.scale.array)
    assert first.state_dict(keep_vars=True)["scale"] is first.scale


def test_state_that_does_not_fit():
    net = Net()
    state = dict(net.state_dict())
    state["extra"] = tg.ones(1)
    del state["out.weight"]
    state["hidden.weight"] = tg.zeros(2, 2)
    before = net.hidden.bias.array.copy()
    state["hidden.bias"] = tg.ones(4) * 7
    expected = (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "out.weight". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for hidden.weight: copying a param with shape [2, 2] from checkpoint, the shape in current "
        "model is [4, 3]."
    )
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        net.load_state_dict(state)
    np.testing.assert_array_equal(net.hidden.bias.array, before)
    with pytest.raises(RuntimeError, match="size mismatch for hidden.weight"):
        net.load_state_dict(state, strict=False)
    del state["hidden.weight"]
    result = net.load_state_dict(state, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == (["hidden.weight", "out.weight"], ["extra"])
    assert (net.hidden.bias.array == 7).all()
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match='named "scale", expected a Tensor'):
        net.load_state_dict({"scale": 3}, strict=False)


def test_assign_takes_the_tensors_themselves():
    net = Net()
    state = {k: v.double() if v.is_floating_point() else v.clone() for k, v in net.state_dict().items()}
    net.scale.requires_grad_(False)
    net.load_state_dict(state, assign=True)
    assert net.hidden.weight.dtype is tg.float64 and isinstance(net.hidden.weight, nn.Parameter)
    assert np.shares_memory(net.hidden.weight.array, state["hidden.weight"].array)
    assert net.hidden.weight.requires_grad and not net.scale.requires_grad
    assert net.norm.running_mean is state["norm.running_mean"]


def test_loading_after_forward_is_an_in_place_change():
    """A value saved for backward that a load overwrites is an error, never a wrong gradient."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    out = net(tg.ones(1, 2))
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="in.?place"):
        out.sum().backward()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_copies(clone):
    net = Net()
    net.scale.requires_grad_(False)
    other = clone(net)
    for (name, p), (other_name, q) in zip(net.named_parameters(), other.named_parameters(), strict=True):
        assert name == other_name and isinstance(q, nn.Parameter) and q is not p
        assert (q.requires_grad, q.name) == (p.requires_grad, p.name)
        np.testing.assert_array_equal(p.array, q.array)
        assert not np.shares_memory(p.array, q.array)
    assert repr(other) == repr(net)
    other(tg.randn(2, 3)).sum().backward()
    assert net.hidden.weight.grad is None and other.hidden.weight.grad is not None


# -- hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_see_and_replace():
    layer, seen = nn.Identity(), []
    first = layer.register_forward_pre_hook(lambda m, args: seen.append(("pre", m is layer, args)))
    second = layer.register_forward_pre_hook(lambda m, args: args[0] + 1)
    third = layer.register_forward_hook(lambda m, args, out: out * 10)
    fourth = layer.register_forward_hook(lambda m, args, out: seen.append(("post", args, out)), prepend=True)
    assert layer(2) == 30
    assert seen == [("pre", True, (2,)), ("post", (3,), 3)]
    for handle in (first, second, fourth):
        handle.remove()
        handle.remove()
    assert layer(2) == 20
    with third:
        pass
    assert layer(2) == 2


def test_hooks_with_kwargs():
    class Add(nn.Module):
        def forward(self, x, by=1):
            return x + by

    layer, seen = Add(), []
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": kwargs["by"] * 2}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True)
    assert layer(1, by=5) == 11 and seen == [((1,), {"by": 10}, 11)]
    layer.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="None or a tuple of .new_args, new_kwargs."):
        layer(1, by=5)


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_scopes_of_a_model():
    net = Net()
    graph = tg.autograd.graph_of(net(tg.randn(4, 3)).sum(), params=dict(net.named_parameters()))
    scopes = {s.name: s for s in graph.scopes}
    assert [s.name for s in graph.scopes] == ["Net", "hidden", "norm", "batch statistics", "out"]
    assert (scopes["hidden"].kind, scopes["hidden"].detail) == ("Linear", "Linear(3 → 4)")
    assert scopes["hidden"].parent == scopes["Net"].id and scopes["Net"].parent == ""
    assert [scopes[n].parameters for n in ("Net", "hidden", "norm", "out")] == [1, 16, 8, 8]
    net.hidden = nn.Linear(3, 4, bias=False)
    assert net.hidden.bias is None


def test_the_scope_is_closed_after_an_error():
    with pytest.raises(tg.errors.ShapeError):
        Net()(tg.ones(2, 5))
    assert tg.autograd.modes.mode.scope is None


def test_changing_a_layer_changes_its_picture():
    layer = nn.Dropout(0.5)
    x = tg.ones(3, requires_grad=True)
    assert tg.autograd.graph_of(layer(x).sum()).scopes[0].detail == "Dropout(0.5)"
    layer.p = 0.25
    assert tg.autograd.graph_of(layer(x).sum()).scopes[0].detail == "Dropout(0.25)"


# -- Parameter --------------------------------------------------------------------------------------------------------


def test_parameter():
    source = tg.ones(2)
    p = nn.Parameter(source)
    assert p.requires_grad and p.is_leaf and isinstance(p, tg.Tensor)
    assert np.shares_memory(p.array, source.array) and not source.requires_grad
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert type(p * 2) is tg.Tensor and type(p.detach()) is tg.Tensor
    assert not nn.Parameter(tg.arange(3), requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        nn.Parameter(tg.arange(3))
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        nn.Parameter([1.0])


# -- printing ---------------------------------------------------------------------------------------------------------


def test_repr_of_lines():
    class Wordy(nn.Module):
        def extra_repr(self):
            return "first\nsecond"

    class Both(Wordy):
        def __init__(self):
            super().__init__()
            self.inner = Wordy()

    assert repr(Wordy()) == "Wordy(\n  first\n  second\n)"
    assert repr(Both()) == ("Both(\n  first\n  second\n  (inner): Wordy(\n    first\n    second\n  )\n)")


@pytest.mark.torch
def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch")

    def build(lib):
        class Two(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.a = lib.nn.Sequential(lib.nn.Linear(1, 2), lib.nn.Sequential(lib.nn.ReLU()), lib.nn.Sequential())
                self.b = None
                self.c = lib.nn.ModuleList([lib.nn.Linear(2, 2), lib.nn.Linear(2, 2), lib.nn.ReLU()])
                self.d = lib.nn.ModuleDict({"x": lib.nn.Tanh()})
                self.e = lib.nn.ModuleList()

            def extra_repr(self):
                return "one line"

        return repr(Two())

    assert build(tg) == build(torch)
