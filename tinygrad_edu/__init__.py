"""tinygrad_edu: the autograd engine that people learn deep learning with.

import tinygrad_edu as torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = (x * x).sum()
y.backward()
x.grad                      # tensor([2., 4.])
"""

from __future__ import annotations

from math import e, inf, nan, pi
from typing import Any

from tinygrad_edu import methods as _methods  # binds operators and methods to Tensor, before anything uses one
from tinygrad_edu import autograd, nn, optim, ops, utils
from tinygrad_edu.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from tinygrad_edu.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from tinygrad_edu.device import cuda, device
from tinygrad_edu.dtypes import (
    bool_ as bool,
    double,
    dtype,
    float32,
    float32 as float,
    float64,
    get_default_dtype,
    int32,
    int32 as int,
    int64,
    long,
    promote_types,
    set_default_dtype,
    uint8,
)
from tinygrad_edu.functions.comparison import (
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    is_floating_point,
    is_tensor,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from tinygrad_edu.functions.linear import bmm, diag, dot, einsum, matmul, mm, mv, outer, trace
from tinygrad_edu.functions.pointwise import add, clamp, clip, div, divide, lerp, mul, multiply, pow, sub, subtract
from tinygrad_edu.functions.reductions import (
    all,
    any,
    argmax,
    argmin,
    argsort,
    count_nonzero,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    softmax,
    sort,
    std,
    sum,
    topk,
    var,
    var_mean,
)
from tinygrad_edu.functions.shaping import (
    broadcast_to,
    chunk,
    flatten,
    gather,
    index_select,
    masked_fill,
    masked_select,
    movedim,
    ravel,
    scatter,
    scatter_add,
    split,
    stack,
    swapaxes,
    t,
    take_along_dim,
    tile,
    unbind,
    unflatten,
)
from tinygrad_edu.kernels import get_num_threads, set_num_threads
from tinygrad_edu.ops.arithmetic import floor_divide, maximum, minimum, remainder
from tinygrad_edu.ops.basic import clone, neg, where
from tinygrad_edu.ops.movement import (
    cat,
    cat as concat,
    diagonal,
    flip,
    permute,
    reshape,
    roll,
    squeeze,
    transpose,
    tril,
    triu,
    unsqueeze,
)
from tinygrad_edu.ops.pointwise import (
    abs,
    acos,
    asin,
    atan,
    ceil,
    cos,
    cosh,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    log2,
    log10,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
)
from tinygrad_edu.ops.reductions import amax, amin
from tinygrad_edu.printing import printoptions, set_printoptions
from tinygrad_edu.random import Generator, get_rng_state, initial_seed, manual_seed, set_rng_state
from tinygrad_edu.tensor import Size, Tensor
from tinygrad_edu.version import __version__


def __getattr__(name: str) -> Any:
    """Parts that are seldom needed are loaded on first use, so that importing the package stays quick."""
    if name in ("datasets", "testing", "train", "derivation"):
        from importlib import import_module

        return import_module(f"tinygrad_edu.{name}")
    raise AttributeError(
        f"module 'tinygrad_edu' has no attribute {name!r}; the names it has are listed in the documentation, and "
        f"dir(tinygrad_edu) shows them"
    )
