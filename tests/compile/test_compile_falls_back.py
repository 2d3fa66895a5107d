"""What cannot be traced runs as it is written, and says why; what changes outside is noticed."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest
from compile_cases import was_compiled

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn

CALLS = []
STATE = {}
GENERATOR = torch.Generator()
SCALE = 2.0
WEIGHT = torch.full((3,), 5.0)


def by_value(x):
    return x * 2 if x.sum() > 0 else x * 3


def by_item(x):
    return x * x.sum().item()


def by_numpy(x):
    return x * torch.from_numpy(x.detach().numpy() ** 2)


def by_len_of_mask(x):
    return x[x > 0].sum() + x.sum()


def by_argmax(x):
    return x[x.argmax()] * 2


def caught(x):
    try:
        return x * float(x[0])
    except BaseException:
        return x * 100


def in_place(x):
    y = x * 2
    y += 1
    return y * 1


def noise(x):
    return x + torch.randn(3)


def dropped(x):
    return F.dropout(x, 0.5) * 2


def numpy_noise(x):
    return x + torch.from_numpy(np.random.rand(3).astype(np.float32))


def python_noise(x):
    return x + random.random()


def printing(x):
    print(x.shape)
    return x * 2


def with_a_generator(x):
    return x + torch.randn(3, generator=GENERATOR.manual_seed(0))


def inserting(x):
    STATE["last"] = x.shape
    return x * 2


def counting(x):
    CALLS.append(1)
    return x * 2


def inner_gradient(x):
    (g,) = torch.autograd.grad((x * x).sum(), x, create_graph=True)
    return g * 2


def hooked(x):
    y = x * 2
    y.register_hook(lambda g: g * 10)
    return y * 1


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 30 * x**2


def custom(x):
    return Cube.apply(x) + 1


def unchanged(x):
    return x


def a_view(x):
    return x.reshape(1, 3)


def constant(x):
    return torch.ones(3)


def no_tensor(x):
    return x.shape


REASONS = {
    by_value: "reads the values of a tensor",
    by_item: "item",
    by_numpy: "reads",
    by_len_of_mask: "reads|tracing failed",
    by_argmax: "reads the values of a tensor",
    caught: "reads the values of a tensor",
    in_place: "in place",
    noise: "random",
    dropped: "random|reads",
    numpy_noise: "random",
    python_noise: "random",
    printing: "calls print",
    with_a_generator: "random generator",
    inserting: "changes STATE.last",
    counting: "changes CALLS",
    inner_gradient: "graph",
    hooked: "graph",
    custom: "reads",
    unchanged: "returns an argument",
    a_view: "view of one",
    constant: "does not depend",
    no_tensor: "returns a Size|takes or returns",
}


@pytest.mark.parametrize("function", REASONS, ids=lambda f: f.__name__)
def test_runs_as_written_and_says_why(function):
    compiled = torch.compile(function)
    for values in ([1.0, -2.0, 3.0], [-1.0, -2.0, -3.0], [0.5, 0.25, 4.0]):
        results = []
        for f in (function, compiled):
            torch.manual_seed(3)
            np.random.seed(3)
            random.seed(3)
            STATE.clear()
            x = torch.tensor(values, requires_grad=True)
            y = f(x)
            if isinstance(y, torch.Tensor) and y.requires_grad:
                y.sum().backward()
            results.append((y, x.grad))
        (a, ga), (b, gb) = results
        assert type(a) is type(b)
        np.testing.assert_array_equal(
            np.asarray(a.detach() if hasattr(a, "detach") else a), np.asarray(b.detach() if hasattr(b, "detach") else b)
        )
        assert (ga is None) == (gb is None) and (ga is None or ga.tolist() == gb.tolist())
    text = compiled.explain()
    assert "runs as written" in text and any(reason in text for reason in REASONS[function].split("|")), text


def test_a_traced_run_has_no_side_effect():
    CALLS.clear()
    compiled = torch.compile(counting)
    compiled(torch.ones(3))
    compiled(torch.ones(3))
    assert len(CALLS) == 2


def test_fullgraph_raises_with_the_reason_and_the_line():
    compiled = torch.compile(by_item, fullgraph=True)
    with pytest.raises(RuntimeError, match=r"fullgraph=True.*by_item.*item.*line \d+ of test_compile_falls_back.py"):
        compiled(torch.ones(3))


def test_errors_of_the_function_are_its_own():
    compiled = torch.compile(lambda x, y: x @ y)
    with pytest.raises(RuntimeError, match="inner|must equal"):
        compiled(torch.ones(2, 3), torch.ones(2, 3))


def test_globals_closures_and_attributes_are_watched():
    global SCALE, WEIGHT
    offset = 1.0

    class Model:
        def __init__(self):
            self.factor, self.table = 3.0, [torch.ones(3)]

        def __call__(self, x):
            return x * SCALE * self.factor + offset * WEIGHT + self.table[0]

    model = Model()
    compiled = torch.compile(lambda x: model(x) * 1)
    x = torch.ones(3)

    def check():
        assert compiled(x).tolist() == (model(x) * 1).tolist()

    check()
    SCALE = 4.0
    check()
    WEIGHT = torch.full((3,), 6.0)
    check()
    WEIGHT[0] = 9.0  # in place: read afresh, or noticed
    check()
    model.factor = 5.0
    check()
    model.table[0] = torch.zeros(3)
    check()
    offset = 2.0
    check()
    assert was_compiled(compiled), compiled.explain()


def test_parameters_are_read_afresh_and_freezing_one_is_noticed():
    layer = nn.Linear(3, 2)
    compiled = torch.compile(layer)
    x = torch.ones(4, 3)
    compiled(x).sum().backward()
    with torch.no_grad():
        layer.weight.mul_(2.0)
    assert compiled(x).tolist() == layer(x).tolist()
    layer.weight.requires_grad_(False)
    layer.zero_grad()
    compiled(x).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad.tolist() == [4, 4]
    layer.weight = nn.Parameter(torch.zeros(2, 3))
    assert compiled(x).tolist() == layer(x).tolist()


def test_dropout_is_compiled_in_evaluation_only_and_batch_norm_keeps_its_statistics():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Tanh())
    compiled = torch.compile(model)
    x = torch.ones(5, 3)
    torch.manual_seed(1)
    a = compiled(x)
    torch.manual_seed(1)
    assert a.tolist() == model(x).tolist() and "runs as written" in compiled.explain()
    compiled.eval()
    np.testing.assert_allclose(compiled(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)
    assert "forward" in compiled.explain()

    norm = nn.BatchNorm1d(3)
    seen = torch.compile(norm)
    for _ in range(3):
        seen(torch.arange(6.0).reshape(2, 3))
    assert norm.running_mean.tolist() != [0, 0, 0] and norm.num_batches_tracked.item() == 3


def test_hooks_on_modules_and_leaves_are_called():
    layer, seen = nn.Linear(3, 2), []
    compiled = torch.compile(layer)
    x = torch.ones(1, 3)
    compiled(x)
    layer.weight.register_hook(lambda g: seen.append("leaf"))
    compiled(x).sum().backward()
    layer.register_forward_hook(lambda *args: seen.append("module"))
    compiled(x)
    assert seen == ["leaf", "module"] and "hooks" in compiled.explain()


def test_new_shapes_are_traced_and_there_is_an_end_to_it():
    compiled = torch.compile(lambda x: torch.tanh(x) * 2)
    with pytest.warns(UserWarning, match="more than 8 kinds"):
        for n in range(1, 12):
            assert compiled(torch.ones(n)).shape == (n,)
    compiled(torch.ones(20))  # warned once
    assert "8 signatures" in compiled.explain()


def test_zero_and_minus_zero_are_two_numbers():
    compiled = torch.compile(lambda x, c: x / (x * 0 + c))
    assert compiled(torch.ones(2), 0.0).tolist() == [np.inf] * 2
    assert compiled(torch.ones(2), -0.0).tolist() == (torch.ones(2) / (torch.ones(2) * 0 + -0.0)).tolist()


def test_options():
    assert torch.compile(by_item, disable=True) is by_item

    @torch.compile
    def double(x):
        return x * 2

    @torch.compile(fullgraph=True)
    def triple(x):
        return x * 3

    assert double(torch.ones(1)).item() == 2 and triple(torch.ones(1)).item() == 3
    assert double.__name__ == "double"
    for wrong in ({"dynamic": True}, {"backend": "inductor"}, {"mode": "max-autotune"}, {"options": {"a": 1}}):
        with pytest.raises(NotImplementedError, match=next(iter(wrong))):
            torch.compile(by_item, **wrong)
    with pytest.raises(TypeError, match="function or a module"):
        torch.compile(3)


def test_a_compiled_module_is_the_module():
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    compiled = torch.compile(model)
    assert list(map(id, compiled.parameters())) == list(map(id, model.parameters()))
    assert compiled[0] is model[0] if hasattr(type(compiled), "__getitem__") else compiled._orig_mod is model
    compiled.eval()
    assert not model.training
    assert {k.removeprefix("_orig_mod.") for k in compiled.state_dict()} == set(model.state_dict())
    outer = torch.compile(nn.Sequential(compiled, nn.Linear(2, 1)))
    assert outer(torch.ones(4, 3)).shape == (4, 1) and was_compiled(outer), outer.explain()


def test_kernels_are_kept_for_the_next_process(tmp_path):
    code = """
import sys, tinygrad_edu as torch
f = torch.compile(lambda x: (torch.tanh(x * 2 + 1) * x).sum())
x = torch.ones(100, 50, requires_grad=True)
f(x).backward()
print(x.grad[0, 0].item())
"""
    runs = []
    for _ in range(2):
        environment = {**os.environ, "TINYGRAD_EDU_COMPILE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        runs.append((done.stdout, {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}))
    assert runs[0] == runs[1] and any(p.suffix == ".nbc" for p in runs[0][1])


def test_no_grad_is_a_signature_of_its_own():
    compiled = torch.compile(lambda x: torch.tanh(x) * x + 1)
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        assert not compiled(x).requires_grad
    assert compiled(x).requires_grad


def test_a_changed_input_is_noticed_by_backward():
    compiled = torch.compile(lambda x, y: x * y)
    x, y = torch.ones(3, requires_grad=True), torch.ones(3)
    z = compiled(x, y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_the_numpy_backend_runs_as_written():
    from tinygrad_edu.kernels.backend import use_backend

    compiled = torch.compile(lambda x: x * 2)
    with use_backend("numpy"):
        assert compiled(torch.ones(1)).item() == 2
    assert "NumPy backend" in compiled.explain()
