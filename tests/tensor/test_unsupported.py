"""What is not supported says so: unknown names, ignored arguments, gradients that are not there."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_edu as t


def test_unknown_names_point_to_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'float16'; PyTorch has it.*use float32"):
        _ = t.float16
    with pytest.raises(AttributeError, match="nearest names are.*logsumexp"):
        _ = t.logsumexpp
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'clampp'.*clamp"):
        _ = t.ones(2).clampp
    with pytest.raises(AttributeError, match=r"as_strided'; PyTorch has it.*unfold"):
        _ = t.ones(2).as_strided
    with pytest.raises(AttributeError, match="no attribute '_private'"):
        _ = t.ones(2)._private
    assert not hasattr(t, "no_such_name") and not hasattr(t.ones(1), "no_such_name")


@pytest.mark.parametrize("call", [t.sum, t.exp, t.max, t.sort, t.cumsum, t.matmul, t.add, t.clamp, t.frac])
def test_out_receives_the_result_or_says_why_not(call):
    x = t.tensor([0.5, 1.5])
    options = {t.cumsum: {"dim": 0}, t.clamp: {"min": 0.0}, t.matmul: {"other": x}, t.add: {"other": x}}.get(call, {})
    result = call(x, **options, out=None)
    with pytest.raises(NotImplementedError, match=r"out= is not supported.*copy_"):
        call(x, **options, out=np.zeros(2, np.float32))
    if call in (t.sort, t.exp):
        with pytest.raises(NotImplementedError, match=r"(sort|exp): out= is not supported.*assign the result"):
            call(x, out=t.zeros(2))
        return
    out = t.full_like(result, 7.0)
    assert call(x, **options, out=out) is out and out.tolist() == result.tolist()
    with pytest.raises(RuntimeError, match=r"out=\): output with shape \(5, 5\) doesn't match"):
        call(x, **options, out=t.zeros(5, 5))
    with pytest.raises(RuntimeError, match=r"out=\.\.\. arguments don't support automatic differentiation"):
        call(x.clone().requires_grad_(), **options, out=out)


def test_the_gradient_of_a_tensor_that_is_no_leaf():
    x = t.ones(2, requires_grad=True)
    y = x * 2
    with pytest.warns(UserWarning, match=r"not a leaf Tensor.*retain_grad"):
        assert y.grad is None
    y.retain_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert y.grad is None and x.grad is None and t.ones(2).grad is None
        y.sum().backward()
        assert y.grad.tolist() == [1, 1] and x.grad.tolist() == [2, 2]


@pytest.mark.parametrize("name", ["qr", "svd", "svdvals", "cond"])
def test_factorisations_without_a_gradient_say_so(name):
    x = t.eye(2).requires_grad_()
    function = getattr(t.linalg, name)
    with pytest.raises(NotImplementedError, match=f"{name}: has no gradient here; use"):
        function(x)
    function(x.detach())
    with t.no_grad():
        function(x)


def test_there_is_no_accelerator():
    assert not t.accelerator.is_available() and t.accelerator.device_count() == 0
    assert t.accelerator.current_accelerator() is None
    with pytest.raises(AttributeError, match=r"accelerator has no attribute 'synchronize'.*accelerator\.is_available"):
        t.accelerator.synchronize()


def test_singular_matrices():
    with pytest.raises(t.linalg.LinAlgError, match=r"inv: the matrix \(2, 2\) is singular.*pinv"):
        t.linalg.inv(t.ones(2, 2))
    x = t.ones(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="singular"):
        t.linalg.det(x).backward()
    with pytest.raises(RuntimeError, match="not positive definite"):
        t.linalg.cholesky(-t.eye(2))


def test_shapes_change_in_place_only_without_history():
    x = t.ones(1, 2)
    x.squeeze_()
    assert x.shape == (2,)
    with pytest.raises(NotImplementedError, match=r"x = x\.unsqueeze\("):
        (x.requires_grad_() * 2).unsqueeze_(0)
    with pytest.raises(NotImplementedError, match="views"):
        t.ones(2, 3)[0].unsqueeze_(0)


def test_reductions_of_scatter_without_a_gradient():
    x, index = t.zeros(3, requires_grad=True), t.tensor([0, 0])
    with pytest.raises(NotImplementedError, match="use 'sum' or 'mean'"):
        t.scatter_reduce(x, 0, index, t.ones(2), "amax")


def test_a_window_that_overlaps_is_read_only_and_one_that_does_not_writes_through():
    x = t.arange(6.0)
    with pytest.raises(RuntimeError, match="read-only"):
        x.unfold(0, 3, 1).add_(1)
    x.unfold(0, 2, 2).add_(1)
    assert x.tolist() == [1, 2, 3, 4, 5, 6]
    w = t.ones(4, requires_grad=True)
    z = w * 1
    windows = z.unfold(0, 2, 1)
    y = (windows * windows).sum()
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_other_devices_and_settings():
    t.set_default_device("cpu")
    t.use_deterministic_algorithms(True)
    t.backends.cudnn.deterministic = True
    assert t.are_deterministic_algorithms_enabled() and not t.backends.cudnn.is_available()
    with pytest.raises(RuntimeError, match="CPU only"):
        t.set_default_device("cuda")
    with pytest.raises(NotImplementedError, match="deterministic"):
        t.use_deterministic_algorithms(False)


def test_results_with_names():
    values, indices = found = t.tensor([[1.0, 3.0], [4.0, 2.0]]).max(1)
    assert values is found.values and indices is found[1] and isinstance(found, tuple)
    assert repr(found) == "tinygrad_edu.return_types.max(\nvalues=tensor([3., 4.]),\nindices=tensor([1, 0]))"
    with pytest.raises(AttributeError, match="its parts are values, indices"):
        _ = found.places
    with pytest.raises(TypeError, match="needs 2 parts"):
        t.return_types.sort((values,))


def test_draws_follow_their_distributions():
    """Means and spreads of 40,000 draws, within five standard errors."""
    generator, n = t.Generator().manual_seed(0), 40_000
    bound = 5 / np.sqrt(n)
    for draws, mean, std in [
        (t.empty(n).exponential_(2.0, generator=generator), 0.5, 0.5),
        (t.empty(n).geometric_(0.25, generator=generator), 4.0, np.sqrt(12.0)),
        (t.empty(n).log_normal_(0.0, 0.5, generator=generator).log(), 0.0, 0.5),
        (t.bernoulli(t.full((n,), 0.3), generator=generator), 0.3, np.sqrt(0.21)),
        (t.poisson(t.full((n,), 4.0), generator=generator), 4.0, 2.0),
        (t.empty(n).random_(10, generator=generator), 4.5, np.sqrt(99 / 12)),
        (t.normal(2.0, 3.0, (n,), generator=generator), 2.0, 3.0),
        (t.empty(n).uniform_(1, 3, generator=generator), 2.0, 2 / np.sqrt(12)),
    ]:
        assert abs(draws.mean().item() - mean) < bound * std
        assert draws.std().item() == pytest.approx(std, rel=0.05)
    cauchy = t.empty(n).cauchy_(1.0, 2.0, generator=generator)
    assert cauchy.median().item() == pytest.approx(1.0, abs=0.1)
    assert t.quantile(cauchy, 0.75).item() == pytest.approx(3.0, abs=0.2)


def test_numpy_functions_give_tensors_that_share_nothing():
    x = t.tensor([0.0, 1.0])
    out = np.exp(x)
    assert isinstance(out, t.Tensor) and out.dtype is t.float32
    assert isinstance(np.isnan(x), t.Tensor) and np.isnan(x).dtype is t.bool
    assert isinstance(np.sqrt(x, out=np.zeros(2, np.float32)), np.ndarray)
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        np.exp(x.requires_grad_())


def test_what_there_is_of_cuda():
    t.cuda.empty_cache()
    assert t.cuda.device_count() == 0 and not hasattr(t.cuda, "amp")
    with pytest.raises(AttributeError, match=r"no attribute 'get_device_name'.*if cuda.is_available"):
        _ = t.cuda.get_device_name
