"""tinygrad_edu: the autograd engine that people learn deep learning with.

In PyTorch's names:

    import tinygrad_edu as torch

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward()
    x.grad                      # tensor([2., 4.])
"""

# ruff: noqa: I001  the names stand in lines, not in a column

from __future__ import annotations

from math import e, inf, nan, pi
from typing import Any

from tinygrad_edu import autograd, linalg, missing, nn, ops, optim, utils
from tinygrad_edu import methods as _methods  # noqa: F401  binds operators and methods to Tensor, before anything uses one
from tinygrad_edu.functions import return_types

# fmt: off
# To offer a name: import it here, from the module that defines it, and add it to __all__; a line of its own will do.
from tinygrad_edu.autograd.modes import (
    enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad, set_grad_enabled,
)
from tinygrad_edu.compile import compile
from tinygrad_edu.creation import (
    arange, as_tensor, asarray, empty, empty_like, eye, from_numpy, full, full_like, linspace, logspace, ones,
    ones_like, scalar_tensor, tensor, zeros, zeros_like,
)
from tinygrad_edu.device import accelerator, backends, cuda, device
from tinygrad_edu.dtypes import (
    bool_ as bool, can_cast, double, dtype, float32, float64, get_default_dtype, float32 as float, int32, int64,
    int32 as int, long, promote_types, set_default_dtype, uint8,
)
from tinygrad_edu.functions.choosing import (
    where, index_add, index_copy, index_fill, index_put, masked_scatter, narrow, put, scatter_reduce, select, take,
)
from tinygrad_edu.functions.comparison import (
    allclose, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, eq, equal, ge, greater, greater_equal, gt,
    is_complex, is_floating_point, is_nonzero, is_same_size, is_signed, is_tensor, isclose, isfinite, isinf, isnan,
    isneginf, isposinf, isreal, le, less, less_equal, logical_and, logical_not, logical_or, logical_xor, lt, ne,
    not_equal, numel,
)
from tinygrad_edu.functions.drawing import (
    bernoulli, multinomial, normal, poisson, rand, rand_like, randint, randint_like, randn, randn_like, randperm,
)
from tinygrad_edu.functions.layout import (
    adjoint, atleast_1d, atleast_2d, atleast_3d, block_diag, broadcast_shapes, broadcast_tensors, cartesian_prod,
    column_stack, combinations, diag_embed, diagflat, diagonal_scatter, dsplit, dstack, fliplr, flipud, hsplit,
    hstack, meshgrid, moveaxis, repeat_interleave, rot90, tensor_split, tril_indices, triu_indices, vander, vsplit,
    vstack, vstack as row_stack,
)
from tinygrad_edu.functions.legacy import (
    BoolTensor, ByteTensor, DoubleTensor, FloatTensor, IntTensor, LongTensor, finfo, iinfo,
)
from tinygrad_edu.functions.linear import bmm, diag, dot, einsum, matmul, mm, mv, outer, outer as ger, trace
from tinygrad_edu.functions.ordering import (
    aminmax, argwhere, bincount, bucketize, cummax, cummin, diff, histc, histogram, isin, kthvalue, median, mode,
    msort, nanmedian, nanquantile, nonzero, quantile, searchsorted, unique, unique_consecutive,
)
from tinygrad_edu.functions.pointwise import (
    add, clamp, clamp_max, clamp_min, clip, div, divide, div as true_divide, lerp, mul, multiply, pow, sub, subtract,
)
from tinygrad_edu.functions.products import (
    addbmm, addmm, addmv, addr, baddbmm, cdist, chain_matmul, corrcoef, cov, cross, cumulative_trapezoid, dist,
    inner, kron, logcumsumexp, matrix_power, nanmean, nansum, renorm, tensordot, trapezoid, trapezoid as trapz, vdot,
)
from tinygrad_edu.functions.reductions import (
    all, any, argmax, argmin, argsort, count_nonzero, cumprod, cumsum, log_softmax, logsumexp, max, mean, min, norm,
    prod, softmax, sort, std, std_mean, sum, topk, var, var_mean,
)
from tinygrad_edu.functions.settings import (
    are_deterministic_algorithms_enabled, get_default_device, result_type, set_default_device,
    use_deterministic_algorithms,
)
from tinygrad_edu.functions.shaping import (
    broadcast_to, chunk, flatten, gather, index_select, masked_fill, masked_select, movedim, ravel, scatter,
    scatter_add, split, stack, swapaxes, swapaxes as swapdims, t, take_along_dim, tile, unbind, unflatten,
)
from tinygrad_edu.functions.special import (
    addcdiv, addcmul, bitwise_left_shift, bitwise_right_shift, copysign, deg2rad, digamma, float_power, fmax, fmin,
    frac, frexp, gcd, heaviside, lcm, ldexp, logaddexp2, logit, nan_to_num, polygamma, positive, rad2deg, rsub, sgn,
    signbit, sinc, xlogy,
)
from tinygrad_edu.kernels import get_num_threads, set_num_threads
from tinygrad_edu.linalg import (
    cholesky, det, logdet, inv as inverse, pinv as pinverse, qr_some as qr, slogdet, svd_with_v as svd,
)
from tinygrad_edu.ops.arithmetic import floor_divide, maximum, minimum, remainder
from tinygrad_edu.ops.basic import clone, neg, neg as negative
from tinygrad_edu.ops.movement import (
    cat, cat as concat, cat as concatenate, diagonal, flip, permute, reshape, roll, squeeze, transpose, tril, triu,
    unsqueeze,
)
from tinygrad_edu.ops.pointwise import (
    abs, abs as absolute, acos, acos as arccos, asin, asin as arcsin, atan, atan as arctan, ceil, cos, cosh, erf,
    exp, expm1, floor, log, log1p, log2, log10, reciprocal, relu, round, rsqrt, sigmoid, sign, sin, sinh, sqrt,
    square, tan, tanh,
)
from tinygrad_edu.ops.reductions import amax, amin
from tinygrad_edu.ops.special import (
    acosh, acosh as arccosh, asinh, asinh as arcsinh, atan2, atan2 as arctan2, atanh, atanh as arctanh, erfc,
    erfinv, exp2, fmod, hypot, lgamma, logaddexp, trunc, trunc as fix,
)
from tinygrad_edu.printing import printoptions, set_printoptions
from tinygrad_edu.random import (
    Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state,
)
from tinygrad_edu.saving import load, save
from tinygrad_edu.tensor import Size, Tensor
from tinygrad_edu.utils.dlpack import from_dlpack
from tinygrad_edu.version import __version__

__all__ = [
    "BoolTensor", "ByteTensor", "DoubleTensor", "FloatTensor", "Generator", "IntTensor", "LongTensor", "Size",
    "Tensor", "__version__", "abs", "absolute", "accelerator",
    "acos", "acosh", "add", "addbmm", "addcdiv", "addcmul", "addmm",
    "addmv", "addr", "adjoint", "all", "allclose", "amax", "amin", "aminmax", "any", "arange", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "are_deterministic_algorithms_enabled", "argmax", "argmin",
    "argsort", "argwhere", "as_tensor", "asarray", "asin", "asinh", "atan", "atan2", "atanh", "atleast_1d",
    "atleast_2d", "atleast_3d", "autograd", "backends", "baddbmm", "bernoulli", "bincount", "bitwise_and",
    "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block_diag", "bmm",
    "bool", "broadcast_shapes", "broadcast_tensors", "broadcast_to", "bucketize", "can_cast", "cartesian_prod",
    "cat", "cdist", "ceil", "chain_matmul", "cholesky", "chunk", "clamp", "clamp_max", "clamp_min", "clip", "clone",
    "column_stack", "combinations", "compile",
    "concat", "concatenate", "copysign", "corrcoef", "cos", "cosh", "count_nonzero",
    "cov", "cross", "cuda", "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "default_generator",
    "deg2rad", "det", "device", "diag", "diag_embed", "diagflat", "diagonal", "diagonal_scatter", "diff", "digamma",
    "dist", "div", "divide", "dot", "double", "dsplit", "dstack", "dtype", "e", "einsum", "empty", "empty_like",
    "enable_grad", "eq", "equal", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "eye", "finfo", "fix", "flatten",
    "flip", "fliplr", "flipud", "float", "float32", "float64", "float_power", "floor", "floor_divide", "fmax",
    "fmin", "fmod", "frac", "frexp", "from_dlpack", "from_numpy", "full", "full_like", "gather", "gcd", "ge", "ger",
    "get_default_device", "get_default_dtype", "get_num_threads", "get_rng_state", "greater", "greater_equal", "gt",
    "heaviside", "histc", "histogram", "hsplit", "hstack", "hypot", "iinfo", "index_add", "index_copy",
    "index_fill", "index_put", "index_select", "inf", "inference_mode", "initial_seed", "inner", "int", "int32",
    "int64", "inverse", "is_complex", "is_floating_point", "is_grad_enabled", "is_inference_mode_enabled",
    "is_nonzero", "is_same_size", "is_signed", "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan",
    "isneginf", "isposinf", "isreal", "kron", "kthvalue", "lcm", "ldexp", "le", "lerp", "less", "less_equal",
    "lgamma", "linalg", "linspace", "load", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp",
    "logaddexp2", "logcumsumexp", "logdet", "logical_and", "logical_not", "logical_or", "logical_xor", "logit",
    "logspace", "logsumexp", "long", "lt", "manual_seed", "masked_fill", "masked_scatter", "masked_select",
    "matmul", "matrix_power", "max", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mm", "mode",
    "moveaxis", "movedim", "msort", "mul", "multinomial", "multiply", "mv", "nan", "nan_to_num", "nanmean",
    "nanmedian", "nanquantile", "nansum", "narrow", "ne", "neg", "negative", "nn", "no_grad", "nonzero", "norm",
    "normal", "not_equal", "numel", "ones", "ones_like", "ops", "optim", "outer", "permute", "pi", "pinverse",
    "poisson", "polygamma", "positive", "pow", "printoptions", "prod", "promote_types", "put", "qr", "quantile",
    "rad2deg", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "ravel",
    "reciprocal", "relu", "remainder", "renorm", "repeat_interleave", "reshape", "result_type", "return_types",
    "roll", "rot90", "round", "row_stack", "rsqrt", "rsub", "save", "scalar_tensor", "scatter", "scatter_add",
    "scatter_reduce", "searchsorted", "seed", "select", "set_default_device", "set_default_dtype",
    "set_grad_enabled", "set_num_threads", "set_printoptions", "set_rng_state", "sgn", "sigmoid", "sign", "signbit",
    "sin", "sinc", "sinh", "slogdet", "softmax", "sort", "split", "sqrt", "square", "squeeze", "stack", "std",
    "std_mean", "sub", "subtract", "sum", "svd", "swapaxes", "swapdims", "t", "take", "take_along_dim", "tan",
    "tanh", "tensor", "tensor_split", "tensordot", "tile", "topk", "trace", "transpose", "trapezoid", "trapz",
    "tril", "tril_indices", "triu", "triu_indices", "true_divide", "trunc", "uint8", "unbind", "unflatten",
    "unique", "unique_consecutive", "unsqueeze", "use_deterministic_algorithms", "utils", "vander", "var",
    "var_mean", "vdot", "vsplit", "vstack", "where", "xlogy", "zeros", "zeros_like",
]
# fmt: on

# Functions of the layers that PyTorch offers at the top too, with the same arguments.
_OF_LAYERS = """
    adaptive_avg_pool1d adaptive_max_pool1d avg_pool1d bilinear celu channel_shuffle conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d cosine_similarity group_norm hardshrink instance_norm kl_div layer_norm max_pool1d
    max_pool2d pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu rms_norm selu threshold triplet_margin_loss
""".split()  # noqa: SIM905

# Answers in words, loaded when the first question is asked.
_EXPLANATIONS = ("explain", "find_nan", "gradient_report", "summary", "why_grad")


def __getattr__(name: str) -> Any:
    """Parts that are seldom needed are loaded on first use, so that importing the package stays quick."""
    if name in ("datasets", "distributions", "testing", "train", "derivation"):
        from importlib import import_module

        return import_module(f"tinygrad_edu.{name}")
    if name in _EXPLANATIONS:
        from tinygrad_edu import explanations

        return getattr(explanations, name)
    if name in _OF_LAYERS and hasattr(nn.functional, name):
        return getattr(nn.functional, name)
    if name.endswith("_") and not name.startswith("_") and name in vars(Tensor):
        return getattr(Tensor, name)  # relu_(x) is x.relu_()
    raise AttributeError(missing.message("tinygrad_edu", name, [*__all__, *_OF_LAYERS]))
