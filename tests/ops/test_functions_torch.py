"""Every function and method of the tensor library against PyTorch: value, dtype, shape, gradient, error type."""

from __future__ import annotations

import re

import pytest
from twin import assert_twins, cases, environment, evaluate

import tinygrad_edu
from tinygrad_edu import missing

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("code", cases("special"))
def test_pointwise_functions(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("ordering"))
def test_order_statistics_and_reductions(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("layout"))
def test_layout_and_choosing(code):
    assert_twins(code, torch)


@pytest.mark.filterwarnings("ignore:.*chain_matmul.*", "ignore:.*lu_solve.*", "ignore:torch.*(qr|svd).*")
@pytest.mark.parametrize("code", cases("linalg"))
def test_products_and_linear_algebra(code):
    # float32 inverses and eigenvectors agree to fewer digits than sums do
    assert_twins(code, torch, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("code", cases("making"))
def test_making_tensors(code):
    assert_twins(code, torch)


@pytest.mark.filterwarnings("ignore:.*non-leaf.*", "ignore:.*not a leaf.*", "ignore:__array", "ignore:.*NumPy.*")
@pytest.mark.parametrize("code", cases("tensors"))
def test_tensors_in_place_in_numpy_and_in_arithmetic(code):
    assert_twins(code, torch)


@pytest.mark.parametrize(
    "code",
    [
        "torch.max(x.detach(),1)",
        "torch.min(i,0)",
        "torch.sort(v.detach())",
        "torch.topk(i,2)",
        "torch.kthvalue(i,1)",
        "torch.median(i,0)",
        "torch.mode(i)",
        "torch.cummax(i,0)",
        "torch.cummin(i,1)",
        "torch.aminmax(i)",
        "torch.frexp(v.detach())",
        "torch.linalg.slogdet(torch.eye(2))",
        "torch.linalg.eigh(torch.diag(torch.tensor([1.,2.]))).eigenvalues",
        "torch.linalg.svd(torch.eye(2))",
        "torch.max(x,1)",
        "torch.sort(x,0)",
        "torch.unique(i,return_counts=True)",
        "torch.var_mean(x)",
        "torch.std_mean(torch.tensor([1.,2.]))",
        "torch.nonzero(b)",
        "x.size()",
        "torch.finfo(torch.float64)",
        "torch.iinfo(torch.uint8)",
        "torch.meshgrid(rows,rows,indexing='ij')",
        "x.data",
        "(x*2).detach()",
        "torch.cat([x,y])",
        "torch.float32",
        "x.dtype",
        "torch.device('cpu')",
    ],
)
def test_printing_of_results(code):
    ours, theirs = (repr(evaluate(library, code, environment(library))) for library in (tinygrad_edu, torch))
    ours, theirs = (re.sub(r"<\w+>", "<...>", text) for text in (ours.replace("tinygrad_edu.", "torch."), theirs))
    assert ours == theirs


def test_what_is_said_to_be_missing_is_missing_here_and_known_to_pytorch():
    for name in missing._INSTEAD:
        assert name not in dir(tinygrad_edu) and not hasattr(tinygrad_edu.Tensor, name), name
        known = (torch, torch.Tensor, torch.nn, torch.distributed, torch.optim, torch.backends, torch.jit)
        assert any(hasattr(place, name) for place in known), name
