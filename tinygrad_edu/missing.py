"""What PyTorch has and tinygrad_edu has not: the errors that say so, with the nearest supported way."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import NoReturn

NO_GRAD_KEPT = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
    "populated during backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use "
    ".retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the "
    "leaf Tensor instead."
)

# Names of torch and torch.Tensor that people reach for, and what to do instead here.
INSTEAD = {
    "float16 half bfloat16 float8_e4m3fn": "use float32 or float64",
    "int8 char int16 short uint16 uint32 uint64": "use int32, int64 or uint8",
    "complex64 complex128 cfloat cdouble complex real imag conj angle polar view_as_real view_as_complex": (
        "there are no complex numbers; keep real and imaginary parts as two tensors"
    ),
    "fft stft istft": "use numpy.fft on x.numpy(); it has no gradient",
    "sparse sparse_coo_tensor sparse_csr_tensor to_sparse to_dense coalesce": "all tensors are dense; use index_add",
    "jit compiler export fx script": "write the function as it is, or give it to compile()",
    "func vmap": "use autograd.functional, or batch the dims by hand and broadcast",
    "amp autocast": "compute in float32",
    "distributed multiprocessing rpc futures": "there is one process and one device",
    "profiler": "use cProfile, or time.perf_counter around the code",
    "hub": "build the model and load its state_dict",
    "quantization quantize_per_tensor quantize_per_channel dequantize": "compute in float32",
    "mps xpu mtia": "there is one device, the CPU",
    "eig lobpcg symeig": "use linalg.eigh for symmetric matrices, numpy.linalg.eig for others",
    "lu lu_solve lu_unpack": "use linalg.solve, linalg.det or linalg.inv",
    "matrix_exp": "use linalg.eigh: V @ diag(exp(λ)) @ V.mT for a symmetric matrix",
    "cholesky_solve cholesky_inverse triangular_solve": "use linalg.solve or linalg.inv",
    "resize_ resize_as_ set_ as_strided as_strided_": "use reshape, indexing or unfold",
    "share_memory_ pin_memory is_shared is_pinned record_stream storage untyped_storage": "the memory is x.numpy()",
    "i0 i0_ igamma igamma_ igammac igammac_ mvlgamma mvlgamma_": "use scipy.special on x.numpy(); it has no gradient",
    "index_reduce index_reduce_ segment_reduce": "use index_add or scatter_reduce",
    "geqrf orgqr ormqr": "use linalg.qr",
    "svd_lowrank pca_lowrank": "use linalg.svd",
    "histogramdd": "use histogram, or numpy.histogramdd on x.numpy()",
    "set_flush_denormal set_float32_matmul_precision get_float32_matmul_precision": "float32 is never shortened",
    "nextafter nextafter_": "use numpy.nextafter on x.numpy()",
    "as_strided_scatter select_scatter slice_scatter": "clone the tensor and assign: y = x.clone(); y[0] = ...",
    "bartlett_window blackman_window hamming_window hann_window kaiser_window": (
        "use from_numpy on numpy.bartlett, blackman, hamming, hanning or kaiser"
    ),
    "empty_strided frombuffer from_file": "use empty and permute, or from_numpy on what NumPy makes",
    "get_num_interop_threads set_num_interop_threads": "use get_num_threads and set_num_threads",
    "lstsq solve": "PyTorch removed it: use linalg.lstsq and linalg.solve",
    "range": "PyTorch deprecated it: use arange, which leaves out the end",
    "set_default_tensor_type": "use set_default_dtype",
    "special": "its functions that are here are at the top: expm1, log1p, logit, digamma, polygamma, xlogy",
    "split_with_sizes": "use split, which takes a list of sizes too",
    "to_dlpack": "use utils.dlpack.to_dlpack, or give the tensor itself to from_dlpack of the other library",
    "unravel_index": "use divisions: (i // columns, i % columns), or numpy.unravel_index",
    "resize resize_as": "use reshape",
    "ShortTensor CharTensor HalfTensor": "use FloatTensor, DoubleTensor, LongTensor, IntTensor or ByteTensor",
}
# The same for the modules below the top.
_LAZY = "give the number of input channels or features, which a Lazy layer finds out by itself"
_DISTRIBUTION = "write a subclass of Distribution with sample and log_prob"
_VOLUME = "there are at most two spatial dims; use the 2d one with the third dim folded into the batch or the channels"
INSTEAD_IN = {
    "": {
        "conv3d conv_transpose3d": _VOLUME,
        "detach": "use x.detach()",
        "get_device": "x.device is the CPU",
    },
    "Tensor": {"prelu": "use nn.functional.prelu(x, weight)", "hardshrink": "use nn.functional.hardshrink"},
    "nn": {
        "LazyBatchNorm1d LazyBatchNorm2d LazyConv1d LazyConv2d LazyConvTranspose1d LazyConvTranspose2d": _LAZY,
        "LazyInstanceNorm1d LazyInstanceNorm2d LazyLinear": _LAZY,
        "LazyBatchNorm3d LazyConv3d LazyConvTranspose3d LazyInstanceNorm3d": _VOLUME,
        "AdaptiveAvgPool3d AdaptiveMaxPool3d AvgPool3d BatchNorm3d CircularPad3d ConstantPad3d Conv3d": _VOLUME,
        "ConvTranspose3d Dropout3d InstanceNorm3d MaxPool3d ReflectionPad3d ReplicationPad3d ZeroPad3d": _VOLUME,
        "AdaptiveLogSoftmaxWithLoss": "use Linear and CrossEntropyLoss",
        "CTCLoss": "align input and target first, then use CrossEntropyLoss at each step",
        "CrossMapLRN2d": "use LocalResponseNorm",
        "DataParallel": "there is one device; use the module itself",
        "SyncBatchNorm": "there is one device; use BatchNorm1d or BatchNorm2d",
        "EmbeddingBag": "use Embedding, then .sum(1) or .mean(1)",
        "FractionalMaxPool2d FractionalMaxPool3d": "use MaxPool2d or AdaptiveMaxPool2d",
        "LPPool1d LPPool2d LPPool3d": "use AvgPool2d on x.pow(p), times the size of the window, to the power 1/p",
        "MaxUnpool1d MaxUnpool2d MaxUnpool3d": "use Upsample or ConvTranspose2d",
        "RNNBase RNNCellBase": "use RNN, LSTM, GRU or their cells",
        "TripletMarginWithDistanceLoss": "write it: clamp(distance(a, p) - distance(a, n) + margin, min=0).mean()",
    },
    "nn.Module": {
        "cuda": "there is one device, the CPU; `if cuda.is_available()` keeps code from asking",
        "half": "use .float() or .double()",
        "register_backward_hook": "PyTorch deprecated it: use register_full_backward_hook",
    },
    "nn.functional": {
        "adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d conv3d conv_transpose3d dropout3d max_pool3d": _VOLUME,
        "celu_ elu_ hardtanh_ leaky_relu_ relu_ rrelu_ selu_ threshold_": "leave out the _ and give inplace=True",
        "affine_grid grid_sample": "use interpolate to scale, roll, flip and rot90 to move",
        "ctc_loss": "align input and target first, then use cross_entropy at each step",
        "embedding_bag": "use embedding, then .sum(1) or .mean(1)",
        "fractional_max_pool2d fractional_max_pool3d": "use max_pool2d or adaptive_max_pool2d",
        "lp_pool1d lp_pool2d lp_pool3d": "use avg_pool2d on x.pow(p), times the size of the window, to the power 1/p",
        "max_unpool1d max_unpool2d max_unpool3d": "use interpolate or conv_transpose2d",
        "triplet_margin_with_distance_loss": "write it: clamp(distance(a, p) - distance(a, n) + margin, min=0).mean()",
        "upsample_bilinear upsample_nearest": "PyTorch deprecated it: use interpolate",
    },
    "nn.utils": {
        "clip_grad_norm": "PyTorch deprecated it: use clip_grad_norm_",
        "parametrizations parametrize prune": "compute the weight in forward, and call nn.functional.linear or conv2d",
        "remove_spectral_norm spectral_norm": "divide the weight by linalg.matrix_norm(weight, 2) after each step",
        "remove_weight_norm weight_norm": "make g and v parameters, and weight = g * v / v.norm() in forward",
        "skip_init": "make the module; its initialisation is quick",
        "stateless": "build the module anew, or load another state_dict",
    },
    "optim": {
        "Adafactor Muon": "use Adam or AdamW",
        "SparseAdam": "gradients are dense: use Adam",
        "swa_utils": "average the state_dicts by hand, under no_grad",
    },
    "distributions": {
        "Beta Binomial Cauchy Chi2 ContinuousBernoulli Dirichlet FisherSnedecor Gamma Geometric Gumbel": _DISTRIBUTION,
        "HalfCauchy HalfNormal InverseGamma Kumaraswamy Laplace Multinomial NegativeBinomial Pareto": _DISTRIBUTION,
        "StudentT VonMises Weibull Wishart LKJCholesky": _DISTRIBUTION,
        "Exponential Poisson": "draw with exponential_ or poisson, and write log_prob by its formula",
        "LogNormal LogisticNormal TransformedDistribution transforms": (
            "use Normal on the transformed value, and add the log of the derivative to log_prob"
        ),
        "LowRankMultivariateNormal MultivariateNormal": (
            "use Independent(Normal(loc, scale), 1), or loc + linalg.cholesky(covariance) @ randn"
        ),
        "MixtureSameFamily": "use logsumexp(weights.logits + components.log_prob(x), -1)",
        "OneHotCategorical": "use Categorical, and nn.functional.one_hot on its draws",
        "OneHotCategoricalStraightThrough RelaxedBernoulli RelaxedOneHotCategorical": (
            "use nn.functional.gumbel_softmax"
        ),
        "ExponentialFamily": "use Distribution",
    },
    "utils": {
        "tensorboard": "keep a list of numbers per epoch and draw it with visualize.curves",
        "checkpoint": "nothing is recomputed here; all values that backward needs are kept",
        "model_zoo": "there are no pretrained models; save and load your own with save and load",
        "benchmark": "use time.perf_counter or timeit around the code",
        "cpp_extension": "write an autograd.Function, in NumPy or Numba",
    },
    "utils.data": {
        "DistributedSampler": "there is one process; use RandomSampler",
        "StackDataset": "use TensorDataset, or a Dataset of your own that returns a tuple or a dict",
    },
    "autograd": {
        "forward_ad": "use autograd.functional.jvp",
        "profiler": "use cProfile, or time.perf_counter around the code",
        "set_multithreading_enabled": "backward runs its ops one after the other; each op has set_num_threads threads",
    },
    "linalg": {
        "cholesky_ex inv_ex solve_ex": "use cholesky, inv or solve, which raise LinAlgError",
        "eig eigvals": "use eigh for symmetric matrices, numpy.linalg.eig for others",
        "householder_product ldl_factor ldl_factor_ex ldl_solve": "use qr, cholesky or solve",
        "lu lu_factor lu_factor_ex lu_solve solve_triangular": "use solve, det or inv",
        "matrix_exp": "use eigh: V @ diag(exp(λ)) @ V.mT for a symmetric matrix",
        "tensorinv tensorsolve": "reshape to matrices, then use inv or solve",
        "vander": "use vander at the top",
    },
}


def _by_name(table: dict[str, str]) -> dict[str, str]:
    return {name: advice for names, advice in table.items() for name in names.split()}


_INSTEAD = _by_name(INSTEAD)
_INSTEAD_IN = {owner: _by_name(table) for owner, table in INSTEAD_IN.items()}


def advice(owner: str, name: str) -> str | None:
    """The nearest supported way to what PyTorch's `owner` has under this name; None if it is not on the list.

    owner: "tinygrad_edu", a module below it ("tinygrad_edu.nn"), or "Tensor".
    """
    own = _INSTEAD_IN.get(owner.removeprefix("tinygrad_edu").removeprefix("."), {}).get(name)
    return _INSTEAD.get(name) if own is None and owner in ("tinygrad_edu", "Tensor") else own


def message(owner: str, name: str, names: Iterable[str]) -> str:
    """The words for an unknown attribute of `owner`: what PyTorch calls so and what is closest here."""
    start = f"module {owner!r}" if owner.startswith("tinygrad_edu") else f"{owner!r} object"
    text = f"{start} has no attribute {name!r}"
    instead = advice(owner, name)
    if instead is not None:
        return f"{text}; PyTorch has it, tinygrad_edu has not: {instead}"
    public = [n for n in names if not n.startswith("_")]
    if public:
        close = difflib.get_close_matches(name, public, n=3, cutoff=0.6)
        nearest = f"; the nearest names are {', '.join(close)}" if close else ""
        text += f"{nearest}; if PyTorch has it, tinygrad_edu has not (yet)"
    return text


def refusal(module: str, names: Iterable[str]) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a module that offers `names`: any other name is an AttributeError with `message`."""

    def refuse(name: str) -> NoReturn:
        raise AttributeError(message(module, name, () if name.startswith("_") else names))

    return refuse
