"""Sequential, ModuleList, ModuleDict, ParameterList."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn


def test_sequential():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert net(tg.ones(4, 2)).shape == (4, 1)
    assert len(net) == 3 and isinstance(net[-1], nn.Linear) and len(net[:2]) == 2 and net[:2][0] is net[0]
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    del net[1]
    assert list(dict(net.named_children())) == ["0", "1"]
    assert net.append(nn.ReLU()) is net and net.insert(0, nn.Identity()) is net
    assert [type(m).__name__ for m in net] == ["Identity", "Linear", "Linear", "ReLU"]
    assert isinstance(net.pop(0), nn.Identity) and len(net) == 3
    assert len(net + nn.Sequential(nn.ReLU())) == 4
    assert len(nn.Sequential().extend([nn.ReLU(), nn.ReLU()])) == 2
    del net[1:]
    assert len(net) == 1
    named = nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("act", nn.ReLU()), ("last", nn.Linear(3, 1))]))
    del named[1]  # PyTorch numbers what is left
    assert list(named.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert nn.Sequential()(3) == 3


def test_sequential_by_name():
    net = nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("act", nn.ReLU())]))
    assert isinstance(net.act, nn.ReLU) and list(net.state_dict()) == ["first.weight", "first.bias"]
    assert list(dict(net[1:].named_children())) == ["act"]


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (IndexError, "index 5 is out of range", lambda: nn.Sequential(nn.ReLU())[5]),
        (IndexError, "index -2 is out of range", lambda: nn.ModuleList([nn.ReLU()])[-2]),
        (TypeError, "int is not a Module subclass", lambda: nn.Sequential(3)),
        (TypeError, "int is not a Module subclass", lambda: nn.ModuleList([3])),
        (TypeError, "should be called with an iterable", lambda: nn.ModuleList().extend(3)),
        (TypeError, "module should be of type", lambda: nn.Sequential().insert(0, 3)),
        (IndexError, "Index out of range", lambda: nn.Sequential().insert(4, nn.ReLU())),
        (ValueError, "add operator supports only objects of Sequential", lambda: nn.Sequential() + [nn.ReLU()]),
        (KeyError, "x", lambda: nn.ModuleDict()["x"]),
        (NotImplementedError, "missing the required", lambda: nn.ModuleList()(1)),
        (RuntimeError, "should not be called", lambda: nn.ParameterList()(1)),
        (AssertionError, "module should be of type", lambda: nn.ModuleList().insert(0, 3)),
        (ValueError, "Non-positive multiplication factor 0", lambda: nn.Sequential(nn.ReLU()) * 0),
        (TypeError, "unsupported operand type", lambda: nn.Sequential(nn.ReLU()) * 1.5),
        (KeyError, "x", lambda: nn.ParameterDict()["x"]),
        (TypeError, "it is not a string", lambda: nn.ParameterDict({3: tg.ones(1)})),
        (TypeError, "iterable of key/value pairs, but got int", lambda: nn.ParameterDict(3)),
        (ValueError, "sequence element #0 must be a pair", lambda: nn.ParameterDict([(1, 2, 3)])),
        (KeyError, "is empty", lambda: nn.ParameterDict().popitem()),
        (RuntimeError, "should not be called", lambda: nn.ParameterDict()(1)),
        (TypeError, "should be called with an iterable", lambda: nn.ParameterList(tg.ones(2))),
        (IndexError, "out of range", lambda: nn.ParameterList()[0]),
    ],
)
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_module_list():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
            self.layers.append(nn.Linear(2, 1))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net = Net()
    assert list(net.state_dict())[-1] == "layers.2.bias"
    graph = tg.autograd.graph_of(net(tg.ones(1, 2)).sum())
    assert [s.name for s in graph.scopes] == ["Net", "layers.0", "layers.1", "layers.2"]
    assert len(net.layers[:2]) == 2 and isinstance(net.layers[:2], nn.ModuleList)
    assert len(net.layers + [nn.ReLU()]) == 4
    del net.layers[0]
    assert list(dict(net.layers.named_children())) == ["0", "1"]


def test_module_dict():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
            self.heads["b"] = nn.Linear(2, 2)

        def forward(self, x):
            return self.heads["b"](x)

    net = Net()
    assert [s.name for s in tg.autograd.graph_of(net(tg.ones(1, 2)).sum()).scopes] == ["Net", "heads.b"]
    heads = net.heads
    assert list(heads) == list(heads.keys()) == ["a", "b"] and "a" in heads and len(heads) == 2
    assert dict(heads.items())["a"] is heads["a"] and next(iter(heads.values())) is heads["a"]
    assert isinstance(heads.pop("a"), nn.Linear) and "a" not in heads
    heads.update([("c", nn.ReLU())])
    del heads["c"]
    heads.clear()
    assert len(heads) == 0


@pytest.mark.torch
def test_parameter_list():
    torch = pytest.importorskip("torch")
    ours = nn.ParameterList([nn.Parameter(tg.ones(2, 3)), tg.zeros(4)])
    theirs = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.zeros(4))])
    assert repr(ours).replace("tinygrad_edu.", "torch.") == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["0", "1"]
    assert len(ours) == 2 and all(isinstance(p, nn.Parameter) for p in ours) and len(ours[:1]) == 1
    ours[0] = tg.ones(1)
    assert ours[0].shape == (1,) and ours.append(tg.ones(1)) is ours and len(list(ours.parameters())) == 3


def test_rows_that_repeat_and_grow():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU())
    assert len(net * 3) == len(2 * (net * 3)) // 2 == 6 and (net * 2)[2] is layer
    net *= 2
    assert len(net) == 4 and net[2] is layer and len(list(net.parameters())) == 2
    net += nn.Sequential(nn.Tanh())
    assert isinstance(net[-1], nn.Tanh) and len(net) == 5
    blocks = nn.ModuleList([nn.ReLU()])
    same = blocks
    blocks += [nn.Tanh(), nn.Tanh()]
    assert blocks is same and [type(m).__name__ for m in reversed(blocks)] == ["Tanh", "Tanh", "ReLU"]
    assert blocks[0] in blocks
    with pytest.raises(ValueError, match="add operator"):
        net += [nn.ReLU()]


@pytest.mark.torch
def test_parameter_dict():
    torch = pytest.importorskip("torch")

    def build(lib):
        made = lib.nn.ParameterDict({"b": lib.ones(2), "a": lib.nn.Parameter(lib.zeros(2, 3))})
        made["c"] = lib.ones(1)
        made.update([("d", lib.ones(4)), ("e", "text")])
        return made

    ours, theirs = build(tg), build(torch)
    assert repr(ours).replace("tinygrad_edu.", "torch.") == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["a", "b", "c", "d"]
    assert list(ours) == list(ours.keys()) == list(theirs) and list(reversed(ours)) == list(reversed(theirs))
    assert len(ours) == 5 and "e" in ours and "f" not in ours and ours.get("f", 3) == 3 and ours.get("e") == "text"
    assert all(isinstance(p, nn.Parameter) for p in list(ours.values())[:4]) and dict(ours.items())["e"] == "text"
    assert ours.setdefault("f", tg.ones(1)) is ours["f"] and ours.setdefault("e", 1) == "text"
    assert ours.popitem()[0] == "f" and ours.pop("e") == "text" and len(list(ours.parameters())) == 4
    both = ours | nn.ParameterDict({"z": tg.ones(1)})
    assert list(both) == ["a", "b", "c", "d", "z"] and both["a"] is ours["a"]
    both |= {"y": tg.ones(1)}
    assert "y" in both and list(nn.ParameterDict().fromkeys(["p", "q"], 1)) == ["p", "q"]
    copied = ours.copy()
    del ours["a"]
    assert "a" in copied and "a" not in ours and not hasattr(ours, "a")
    ours.clear()
    assert len(ours) == 0 and not list(ours.parameters())


@pytest.mark.torch
def test_parameter_list_of_other_things():
    torch = pytest.importorskip("torch")
    ours, theirs = (lib.nn.ParameterList([lib.ones(2), 3, "x"]) for lib in (tg, torch))
    assert repr(ours).replace("tinygrad_edu.", "torch.") == repr(theirs)
    ours += [tg.ones(1)]
    assert len(ours) == 4 and len(list(ours.parameters())) == 2 and list(ours.state_dict()) == ["0", "3"]
    assert ours[1:3][0] == 3 and ours[-1].shape == (1,)
