"""Wrong calls: each raises PyTorch's type of error, and names the op, what came, and the likely fix."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.errors import DTypeError, GraphError, LabelError, ShapeError

# (code, type of error, words that must be in the message); x (2, 3), y (3, 2), v (3,), i int64 (2, 3), b bool (2, 3),
# w (2, 3) requires grad.
TABLE = [
    # shapes that do not fit
    ("x + y", ShapeError, "add: (2, 3) (3, 2) dim -1 do not broadcast unsqueeze"),
    ("x - t.ones(4)", ShapeError, "sub: (2, 3) (4,) sizes 3 and 4"),
    ("x * y", ShapeError, "mul: (2, 3) (3, 2)"),
    ("x / y", ShapeError, "div: (2, 3) (3, 2)"),
    ("x ** y", ShapeError, "pow: (2, 3) (3, 2)"),
    ("x // y", ShapeError, "floor_divide: (2, 3) (3, 2)"),
    ("x % y", ShapeError, "remainder: (2, 3) (3, 2)"),
    ("x == y", ShapeError, "eq: (2, 3) (3, 2)"),
    ("x < y", ShapeError, "lt: (2, 3) (3, 2)"),
    ("t.maximum(x, y)", ShapeError, "maximum: (2, 3) (3, 2)"),
    ("t.where(b, x, y)", ShapeError, "where: (2, 3) (3, 2)"),
    ("b & y.bool()", ShapeError, "bitwise_and: (2, 3) (3, 2)"),
    ("np.ones((4, 4)) + x", ShapeError, "add: (4, 4) (2, 3)"),
    ("x @ x", ShapeError, "matmul: (2, 3) last dim (3) second-last (2) Did you mean y.mT?"),
    ("x @ t.ones(5, 7)", ShapeError, "matmul: (2, 3) (5, 7) must equal"),
    ("x @ t.ones(2)", ShapeError, "matmul: (2, 3) (2,) last dim (3)"),
    ("x @ t.tensor(2.0)", ShapeError, "matmul: at least 1-D use * for scalars"),
    ("t.ones(2, 2, 3) @ t.ones(3, 3, 3)", ShapeError, "matmul: (2,) (3,) do not broadcast"),
    ("t.mm(x, v)", ShapeError, "mm: 2-D [2, 3] [3]"),
    ("t.bmm(x, x)", ShapeError, "bmm: 3-D"),
    ("t.bmm(t.ones(2, 1, 1), t.ones(3, 1, 1))", ShapeError, "bmm: batch sizes (2, 1, 1) (3, 1, 1) use matmul"),
    ("t.dot(v, t.ones(4))", ShapeError, "dot: equal lengths (3,) (4,)"),
    ("t.mv(x, x)", ShapeError, "mv: 1-D"),
    ("t.outer(x, v)", ShapeError, "outer: 1-D"),
    ("t.einsum('ij,jk->ik', x, x)", ShapeError, "einsum: 'j' sizes 3 and 2"),
    ("t.einsum('ijk->i', x)", ShapeError, "einsum: 'ijk' (2, 3)"),
    ("t.einsum('ij,jk->ik', x)", RuntimeError, "einsum: 2 operands 1 were given"),
    ("t.einsum('ij->k', x)", RuntimeError, "einsum: output subscript 'k'"),
    ("x.reshape(4, 2)", ShapeError, "reshape: (4, 2) holds 8 input has 6"),
    ("x.reshape(4, -1)", ShapeError, "reshape: (4, -1) 4 does not divide 6"),
    ("x.reshape(-1, -1)", ShapeError, "reshape: more than one -1"),
    ("x.reshape(-2, 3)", ShapeError, "reshape: negative size"),
    ("x.T.view(6)", RuntimeError, "view size is not compatible Use .reshape(...) instead"),
    ("x.expand(4, 3)", ShapeError, "expand: (2, 3) (4, 3) size 1"),
    ("x.expand(3)", ShapeError, "expand: fewer dims (2, 3)"),
    ("v.expand(-1, 3)", ShapeError, "expand: -1 at dim 0"),
    ("x.permute(0)", ShapeError, "permute: each of the 2 dimensions"),
    ("x.permute(0, 0)", ShapeError, "permute: exactly once"),
    ("t.cat([x, y])", ShapeError, "cat: dim 0 (2, 3) (3, 2)"),
    ("t.cat([t.tensor(1.0), t.tensor(2.0)])", ShapeError, "cat: zero-dimensional use stack"),
    ("t.cat([])", RuntimeError, "cat: non-empty list"),
    ("t.cat(x)", TypeError, "cat: 'tensors' tuple or list"),
    ("t.stack([x, y])", ShapeError, "stack: equal size (2, 3) (3, 2)"),
    ("t.stack([])", RuntimeError, "stack: non-empty"),
    ("x.split([1, 2], 0)", RuntimeError, "split: [1, 2] add up to 2"),
    ("x.split(0)", RuntimeError, "split: positive"),
    ("x.chunk(0)", RuntimeError, "chunk: greater than 0"),
    ("x.unflatten(1, (2, 2))", ShapeError, "unflatten: (2, 2) 4 entries has 3"),
    ("t.triu(v)", ShapeError, "triu: at least 2 dims (3,)"),
    ("t.diag(t.ones(1, 1, 1))", ShapeError, "diag: 1-D or 2-D (1, 1, 1)"),
    ("v.trace()", ShapeError, "trace: matrix (3,)"),
    ("v.mT", RuntimeError, "mT: matrices 1-D"),
    ("t.ones(1, 1, 1).t()", RuntimeError, "t: <= 2 dimensions 3-D use mT"),
    ("x.repeat(2)", RuntimeError, "repeat: Number of dimensions (2,) (2, 3)"),
    ("x.roll((1, 2))", ShapeError, "roll: shifts (1, 2) same length"),
    ("x.flip((0, 0))", ShapeError, "flip: (0, 0) twice"),
    ("x.masked_fill(y > 0, 0.0)", ShapeError, "where: (2, 3) (3, 2)"),
    ("x.masked_select(y > 0)", ShapeError, "masked_select: (2, 3) (3, 2)"),
    ("x.take_along_dim(t.tensor([0]), 1)", ShapeError, "take_along_dim: (1,) (2, 3)"),
    ("x.topk(4)", RuntimeError, "topk: k=4 (2, 3) size 3"),
    ("t.tensor(1.0).split(1)", ShapeError, "split: 1-dimensional 0-D"),
    ("x.movedim((0, 1), (0,))", RuntimeError, "movedim: pair up"),
    # dims
    ("x.sum(2)", IndexError, "sum: dim 2 2-D [-2, 1]"),
    ("x.mean(-3)", IndexError, "mean: dim -3"),
    ("x.sum((0, 0))", RuntimeError, "sum: (0, 0) twice"),
    ("x.sum('a')", TypeError, "sum: integer 'a'"),
    ("x.sum(0, 1)", TypeError, "sum: keepdim tuple"),
    ("x.max(5)", IndexError, "max: dim 5"),
    ("x.argmax(5)", IndexError, "argmax: dim 5"),
    ("x.softmax(2)", IndexError, "softmax: dim 2"),
    ("x.cumsum(2)", IndexError, "cumsum: dim 2"),
    ("x.sort(2)", IndexError, "sort: dim 2"),
    ("x.transpose(0, 2)", IndexError, "transpose: dim 2"),
    ("x.unsqueeze(4)", IndexError, "unsqueeze: dim 4"),
    ("x.squeeze(2)", IndexError, "squeeze: dim 2"),
    ("x.flatten(1, 0)", RuntimeError, "flatten: start_dim 1 end_dim 0"),
    ("t.stack([x, x], 3)", IndexError, "stack: dim 3"),
    ("t.cat([x, x], 2)", IndexError, "cat: dim 2"),
    ("x.unbind(2)", IndexError, "unbind: dim 2"),
    ("x.gather(2, i)", IndexError, "gather: dim 2"),
    ("x.size(2)", IndexError, "size: dim 2"),
    ("t.tensor(1.0).sum(1)", IndexError, "sum: dim 1 0-D"),
    ("t.zeros(0).max()", RuntimeError, "amax: (0,) empty"),
    ("t.zeros(0, 3).max(0)", IndexError, "max: (0, 3) non-zero"),
    ("t.zeros(0).argmax()", IndexError, "argmax: (0,)"),
    # dtypes
    ("i.mean()", DTypeError, "mean: floating point int64 .float()"),
    ("i.softmax(1)", DTypeError, "softmax: floating-point int64 .float()"),
    ("i.norm()", DTypeError, "norm: floating point int64 .float()"),
    ("x @ y.double()", DTypeError, "matmul: same dtype float32 float64 .to("),
    ("x @ i.T", DTypeError, "matmul: same dtype int64"),
    ("i // 0", RuntimeError, "floor_divide: ZeroDivisionError"),
    ("i % 0", RuntimeError, "remainder: ZeroDivisionError"),
    ("i ** -1", RuntimeError, "pow: negative integer powers .float()"),
    ("-b", DTypeError, "neg: bool ~"),
    ("b - b", DTypeError, "sub: bool logical_not ^"),
    ("x - b", DTypeError, "sub: bool"),
    ("~x", TypeError, "bitwise_not: float32"),
    ("x & x", DTypeError, "bitwise_and: float32 compare"),
    ("t.where(i, x, x)", DTypeError, "where: boolean int64 .bool()"),
    ("x.masked_fill(i, 0.0)", DTypeError, "masked_fill: boolean int64"),
    ("x.masked_fill(b, v)", ShapeError, "masked_fill: 0-dimensional (3,) where"),
    ("x.gather(1, x)", DTypeError, "gather: integer float32 .long()"),
    ("x.index_select(0, v)", DTypeError, "index_select: int float32"),
    ("t.allclose(x, x.double())", DTypeError, "allclose: same dtype float32 float64"),
    ("i.requires_grad_()", DTypeError, "floating point int64 .float()"),
    ("t.tensor([1, 2], requires_grad=True)", DTypeError, "floating point int64"),
    ("t.tensor([1.0], dtype='complex64')", DTypeError, "complex64 not supported float32"),
    ("t.rand(2, dtype=t.int64)", DTypeError, "rand: floating-point int64 randint"),
    ("t.randn(2, dtype=t.int64)", DTypeError, "randn: floating-point int64 randint"),
    ("i.normal_()", DTypeError, "normal_: floating-point int64"),
    ("t.set_default_dtype(t.int64)", TypeError, "set_default_dtype: floating-point"),
    ("t.add(i, i, alpha=1.5)", DTypeError, "add: alpha 1.5"),
    # indices
    ("x[2]", LabelError, "index: 2 size 2 (2, 3)"),
    ("x[0, 3]", LabelError, "index: 3 size 3 (2, 3)"),
    ("x[0, 0, 0]", LabelError, "index: too many (2, 3)"),
    ("t.tensor(1.0)[0]", IndexError, "0-dim item()"),
    ("x[::-1]", ValueError, "index: step flip()"),
    ("x[1.5]", LabelError, "index: integers float"),
    ("x[x]", LabelError, "index: long float32 .long()"),
    ("x[t.tensor([0, 5])]", LabelError, "index: 5 (2, 3)"),
    ("x[y > 0]", LabelError, "index: boolean (2, 3)"),
    ("x[t.tensor([1], dtype=t.uint8)]", DTypeError, "index: uint8 .bool() .long()"),
    ("x.gather(1, t.tensor([[3]]))", ShapeError, "gather: index 3 dim 1 size 3"),
    ("x.gather(1, t.tensor([0]))", ShapeError, "gather: 1 dims 2"),
    ("x.scatter(1, t.tensor([[0]]), t.ones(0, 0))", ShapeError, "scatter: (0, 0) (1, 1)"),
    ("x.scatter(1, t.tensor([[0]]), y.double())", DTypeError, "scatter: dtype float32 float64"),
    ("x.index_select(0, t.tensor([-1]))", LabelError, "index_select: -1"),
    ("x.__setitem__(0, t.ones(2))", ShapeError, "index: (2,) (3,) (2, 3)"),
    ("x.__setitem__(9, 1.0)", LabelError, "index: 9 (2, 3)"),
    ("x.__setitem__(0, 'a')", TypeError, "index: assign str"),
    ("x.__setitem__(0, None)", TypeError, "index: assign NoneType"),
    # in place
    ("w.add_(1)", GraphError, "add_: leaf no_grad"),
    ("w.__setitem__(0, 1.0)", GraphError, "leaf no_grad"),
    ("w.zero_()", GraphError, "leaf no_grad"),
    ("w.uniform_()", GraphError, "uniform_: leaf no_grad"),
    ("w[0].add_(1)", GraphError, "add_: view of a leaf clone()"),
    ("x.add_(t.ones(4, 2, 3))", ShapeError, "add_: (2, 3) (4, 2, 3) out-of-place"),
    ("i.add_(1.5)", DTypeError, "add_: float32 int64 .float()"),
    ("i.div_(2)", DTypeError, "div_: float32 int64"),
    ("v.expand(2, 3).add_(1)", GraphError, "add_: expanded clone()"),
    ("changed(lambda y: y.sin())", GraphError, "sin: modified by an inplace operation clone()"),
    ("changed(lambda y: y * y)", GraphError, "mul: modified by an inplace operation (2, 3)"),
    ("x.normal_(0, -1)", RuntimeError, "normal_: std >= 0.0 -1"),
    ("x.uniform_(1, 0)", RuntimeError, "uniform_: from=1 to=0"),
    # graphs
    ("x.sum().backward()", GraphError, "backward: does not require grad requires_grad=True"),
    ("w.backward()", GraphError, "backward: scalar outputs (2, 3) gradient="),
    ("w.sum().backward(t.ones(2))", ShapeError, "backward: (2,) ()"),
    ("twice()", GraphError, "second time retain_graph=True"),
    ("w.numpy()", RuntimeError, "detach().numpy()"),
    ("autograd.grad(w.sum(), x)", GraphError, "grad: require grad (2, 3)"),
    (
        "autograd.grad(w.sum(), [w, t.ones(1, requires_grad=True)])",
        GraphError,
        "grad: not have been used allow_unused=True",
    ),
    # numbers and arguments
    ("bool(x)", RuntimeError, "ambiguous (2, 3) .any()"),
    ("float(x)", ValueError, "float: one element (2, 3)"),
    ("x.item()", RuntimeError, "item: 6 elements (2, 3) tolist()"),
    ("[1][x]", TypeError, "integer"),
    ("x + 'a'", TypeError, "unsupported"),
    ("t.softmax('a', 0)", TypeError, "softmax: Tensor str"),
    ("t.tensor([[1, 2], [3]])", ValueError, "tensor: lists differ in length"),
    ("t.tensor('a')", TypeError, "tensor: str numbers"),
    ("t.zeros(-1)", RuntimeError, "negative dimension -1"),
    ("t.zeros(1.5)", TypeError, "integers 1.5"),
    ("t.arange(0, 5, 0)", RuntimeError, "arange: step nonzero"),
    ("t.arange(5, 0)", RuntimeError, "arange: inconsistent 5 0"),
    ("t.linspace(0, 1, -1)", RuntimeError, "linspace: non-negative -1"),
    ("t.randint(5, 2, (3,))", RuntimeError, "randint: from=5 to=2"),
    ("t.eye(-1)", RuntimeError, "negative dimension -1"),
    ("t.from_numpy([1])", TypeError, "from_numpy: list"),
    ("t.zeros(2, device='cuda')", RuntimeError, "device: 'cuda' CPU"),
    ("x.to('cuda')", RuntimeError, "device: 'cuda' CPU"),
    ("x.clamp()", RuntimeError, "clamp: min, max or both"),
    ("t.div(x, x, rounding_mode='up')", RuntimeError, "div: rounding_mode 'up'"),
    ("x.norm('nuc')", RuntimeError, "norm: 'nuc'"),
    ("x.sum(dims=1)", TypeError, "sum: 'dims' dim, keepdim"),
    ("x.transpose(0)", TypeError, "transpose: missing 'dim1'"),
    ("t.manual_seed('a')", TypeError, "manual_seed: 'a'"),
    ("t.multinomial(t.ones(2), 5)", RuntimeError, "multinomial: 5 without replacement"),
    ("x.view(t.int32)", DTypeError, "view: .to(dtype)"),
]


def environment():
    x = t.arange(6.0).reshape(2, 3)
    w = t.ones(2, 3, requires_grad=True)

    def changed(function):
        y = w * 1
        z = function(y)
        y.add_(1)
        z.sum().backward()

    def twice():
        z = (w * w).sum()
        z.backward()
        z.backward()

    return {
        "t": t,
        "np": np,
        "autograd": autograd,
        "x": x,
        "y": t.ones(3, 2),
        "v": t.ones(3),
        "i": t.arange(6).reshape(2, 3),
        "b": x > 2,
        "w": w,
        "changed": changed,
        "twice": twice,
    }


@pytest.mark.parametrize(("code", "error", "words"), TABLE, ids=[row[0] for row in TABLE])
def test_the_message_helps(code, error, words):
    with pytest.raises(error) as caught:
        eval(code, environment())
    message = str(caught.value)
    parts = re.findall(r"\([^()]*\)[.\w()]*|\S+", words)  # a shape is one word
    for word in parts:
        assert word in message, f"{word!r} is missing in: {message}"


def test_the_table_is_long_enough():
    assert len(TABLE) >= 80


def test_a_failed_call_changes_nothing():
    for code, _, _ in TABLE:
        names = environment()
        before = {k: v.array.copy() for k, v in names.items() if isinstance(v, t.Tensor)}
        with pytest.raises(Exception):  # noqa: B017
            eval(code, names)
        for k, array in before.items():
            np.testing.assert_array_equal(names[k].array, array, err_msg=f"{code} changed {k}")
        assert t.is_grad_enabled() and t.get_default_dtype() is t.float32
