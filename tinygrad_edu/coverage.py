"""Writes which names of PyTorch are here and what differs.        python -m tinygrad_edu.coverage docs/coverage.md

The names come from pytorch_names.txt; whether one is here, from the package itself; what differs, from DIFFERENCES.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from pathlib import Path
from typing import Any

import tinygrad_edu
from tinygrad_edu import missing

NAMES = Path(__file__).with_name("pytorch_names.txt")

# What differs from PyTorch under names that are here, by module; the names of a line share a remark.
DIFFERENCES = {
    "torch": {
        "backends cuda device": "there is one device, the CPU; cuda.is_available() is False, another device an error",
        "load save": "safetensors instead of pickle: tensors, numbers, texts, lists and dicts, but no whole modules",
        "manual_seed Generator get_rng_state set_rng_state": "the same seed gives other numbers than PyTorch's",
        "bernoulli multinomial normal poisson rand rand_like randint randint_like randn randn_like randperm": (
            "other numbers than PyTorch's after the same seed; the distributions are the same"
        ),
        "use_deterministic_algorithms": "all algorithms are deterministic; False is refused",
        "qr svd": "no gradient",
        "scatter_reduce": "a gradient for sum and mean only",
        "cov": "no fweights, no aweights",
        "polygamma": "not below −10,000",
        "float double long int bool uint8 dtype": "the dtypes are float32, float64, int64, int32, uint8 and bool",
        "result_type promote_types": "among float32, float64, int64, int32, uint8 and bool",
    },
    "torch.Tensor": {
        "backward": "a tensor whose saved values were changed through .data is an error too, not a wrong gradient",
        "cpu cuda device to": "there is one device, the CPU; another one is an error",
        "grad_fn": "the node of the op that was called; its name may be another than PyTorch's",
        "qr svd": "no gradient",
        "scatter_reduce scatter_reduce_": "a gradient for sum and mean only",
        "squeeze_ unsqueeze_ transpose_ swapaxes_ swapdims_ t_": "not on views nor on tensors that require grad",
        "type": "the names begin with tinygrad_edu",
        "is_sparse is_cuda": "False",
    },
    "torch.linalg": {
        "qr svd svdvals": "no gradient",
        "cond": "no gradient for p = None, 2 and −2",
        "matrix_norm norm": "no gradient for the norms made of singular values: 2, −2 and 'nuc'",
    },
    "torch.nn": {
        "Embedding": "no max_norm, scale_grad_by_freq or sparse",
        "LSTM": "no proj_size",
        "Upsample": "no antialias",
        "Transformer TransformerEncoder": "no nested tensors; enable_nested_tensor changes nothing",
    },
    "torch.nn.Module": {
        "double float to type": "buffers are converted in place, as parameters are; PyTorch replaces them",
        "cpu": "there is one device, the CPU",
    },
    "torch.nn.functional": {
        "alpha_dropout dropout dropout1d dropout2d feature_alpha_dropout gumbel_softmax rrelu": (
            "other random numbers than PyTorch's after the same seed"
        ),
        "embedding": "no max_norm, scale_grad_by_freq or sparse",
        "interpolate": "no antialias",
    },
    "torch.nn.init": {
        "kaiming_normal_ kaiming_uniform_ normal_ orthogonal_ sparse_ trunc_normal_ uniform_ xavier_normal_ "
        "xavier_uniform_": "other random numbers than PyTorch's after the same seed",
    },
    "torch.optim": {
        "Adadelta Adamax ASGD NAdam RAdam Rprop": "no foreach, capturable or differentiable",
        "LBFGS": "the scratch list `al` is not in the state",
    },
    "torch.distributions": {
        "Bernoulli Categorical Normal Uniform": "other random numbers than PyTorch's after the same seed",
        "constraints": "those of the distributions that are here",
        "kl_divergence": "among Normal, Categorical, Bernoulli, Uniform and Independent",
    },
    "torch.utils.data": {
        "DataLoader": "workers are threads; no multiprocessing_context, pin_memory_device or in_order=False",
        "RandomSampler SubsetRandomSampler WeightedRandomSampler random_split": (
            "other random numbers than PyTorch's after the same seed"
        ),
    },
    "torch.autograd": {
        "grad": "no is_grads_batched, no only_inputs=False",
        "gradcheck gradgradcheck": "every entry in reverse mode: no fast_mode, check_forward_ad or check_batched_grad",
        "detect_anomaly set_detect_anomaly": "the error also names the op and the line of the first NaN in forward",
        "graph": "the recorded graph as plain data, for pictures; PyTorch's hooks for saved tensors are not there",
    },
    "torch.autograd.functional": {
        "hessian jacobian": "no vectorize, no forward mode",
    },
}


def names() -> dict[str, list[str]]:
    """The names of PyTorch by module."""
    out: dict[str, list[str]] = {}
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = out.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.extend(line.split())
    return out


def place(module: str) -> Any:
    """What stands here for a module or class of PyTorch; an instance of Tensor and Module, whose errors are its own."""
    if module == "torch.Tensor":
        return tinygrad_edu.zeros(())
    if module == "torch.nn.Module":
        return tinygrad_edu.nn.Module()
    found: Any = tinygrad_edu
    for part in module.split(".")[1:]:
        found = getattr(found, part)
    return found


def refusal(module: str, name: str) -> str | None:
    """The nearest way to a name that is not supported; None if it is supported.

    It is not if there is no such attribute, or one that is there to say so: its docstring begins with "Raises".
    """
    owner = place(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            doc = inspect.getdoc(getattr(owner, name)) or ""
        except (AttributeError, RuntimeError):
            if module == "torch.Tensor" and hasattr(type(owner), name):
                return None  # a property that this tensor has not
            doc = "Raises AttributeError."
    if not doc.startswith("Raises "):
        return None
    here = "Tensor" if module == "torch.Tensor" else module.replace("torch", "tinygrad_edu", 1)
    return missing.advice(here, name) or ""


def differences(module: str) -> dict[str, str]:
    """What differs, name by name."""
    out: dict[str, str] = {}
    for together, remark in DIFFERENCES.get(module, {}).items():
        for name in together.split():
            out[name] = f"{out[name]}; {remark}" if name in out else remark
    return out


def table(title: str, remarks: dict[str, str]) -> str:
    """A Markdown table of remarks, names with the same one in a row."""
    together: dict[str, list[str]] = {}
    for name, remark in remarks.items():
        together.setdefault(remark, []).append(f"`{name}`")
    rows = [f"| {', '.join(group)} | {remark} |" for remark, group in together.items()]
    return "\n".join([f"| {title} |", "| --- | --- |", *rows, ""])


def section(module: str, listed: list[str]) -> str:
    """The Markdown of one module."""
    refused = {name: way for name in listed if (way := refusal(module, name)) is not None}
    remarks = {name: remark for name, remark in differences(module).items() if name not in refused}
    same = [f"`{name}`" for name in listed if name not in refused and name not in remarks]
    parts = [f"## {module}\n\n{len(listed) - len(refused)} of {len(listed)} names are supported.\n"]
    if same:
        parts.append(f"As in PyTorch: {', '.join(same)}.\n")
    if remarks:
        parts.append(table("Supported | what differs", remarks))
    if refused:
        parts.append(table("Not supported | the nearest way", refused))
    return "\n".join(parts)


def page() -> str:
    """The whole page."""
    modules = names()
    total = sum(len(listed) for listed in modules.values())
    here = sum(refusal(module, name) is None for module, listed in modules.items() for name in listed)
    head = (
        f"# PyTorch's names in tinygrad_edu\n\nMade by `make docs`. Of {total:,} names of PyTorch that may occur in "
        f"teaching code, {here:,} are supported. Any other one raises an error that names the nearest supported way, "
        "which is the one in the tables. An argument value that is not supported, such as `out=`, is an error too.\n"
    )
    return "\n".join([head, *(section(module, listed) for module, listed in modules.items())])


def main(path: str = "docs/coverage.md") -> Path:
    """Write the page to `path`."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(), encoding="utf-8")
    print(f"coverage: {target}")
    return target


if __name__ == "__main__":
    main(*sys.argv[1:2])
