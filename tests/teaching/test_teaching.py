"""Scripts in the manner of public tutorials run here with nothing but their import lines changed.

A script is a plain PyTorch program in this folder. It takes its data and first weights from NumPy, leaves its numbers
in a dict `results` (numbers, texts, tensors, lists of them, True where only a fact can be compared), and asserts its
own lesson in `goal()`. TOLERANCES has (rtol, atol) for scripts that need others than DEFAULT.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu

FOLDER = Path(__file__).parent
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("test_"))
DEFAULT = (1e-4, 1e-6)
TOLERANCES = {
    "rosenbrock": (1e-4, 1e-6),  # 300 steps that overshoot multiply rounding
    "legendre_polynomial": (1e-9, 1e-12),  # float64
    "gan": (2e-3, 1e-5),  # two players: what one rounds, the other answers
    "segmentation": (1e-3, 1e-5),  # normalised sums of many layers
    "initialisation": (1e-2, 1e-6),  # a deep tanh network with large weights multiplies rounding ten thousandfold
}


def translated(source):
    """The script with `torch` replaced in its import lines, and only there."""
    lines = []
    for line in source.splitlines():
        if re.match(r"\s*(import|from) torch\b", line):
            line = re.sub(r"^(\s*)import torch$", r"\1import tinygrad_edu as torch", line)
            line = re.sub(r"^(\s*)(import|from) torch\b", r"\1\2 tinygrad_edu", line)
        lines.append(line)
    return "\n".join(lines)


def run(name, with_torch):
    """The names that the script leaves."""
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    module = {"__name__": "__main__", "__file__": f"{name}.py"}
    exec(compile(source if with_torch else translated(source), f"{name}.py", "exec"), module)
    return module


@pytest.fixture(autouse=True)
def seed():
    tinygrad_edu.manual_seed(0)


def test_only_import_lines_change():
    source = (
        "import torch\nimport torch.nn as nn\n    from torch import optim\nfrom torch.utils.data import DataLoader\n"
    )
    source += "import torchless\nx = torch.ones(2)  # import torch\n"
    assert translated(source).splitlines() == [
        "import tinygrad_edu as torch",
        "import tinygrad_edu.nn as nn",
        "    from tinygrad_edu import optim",
        "from tinygrad_edu.utils.data import DataLoader",
        "import torchless",
        "x = torch.ones(2)  # import torch",
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (1.0, 1.001),
        (True, False),
        (1, True),
        ("float", "double"),
        ([1.0], [1.0, 2.0]),
        ({"a": 1.0}, {"b": 1.0}),
        ({"a": [(2.0, 3.0)]}, {"a": [(2.0, 3.1)]}),
        (tinygrad_edu.ones(2), tinygrad_edu.ones(1)),
        (tinygrad_edu.ones(2), tinygrad_edu.ones(2).double()),
        (tinygrad_edu.ones(2), tinygrad_edu.tensor([1.0, 1.1])),
    ],
    ids=str,
)
def test_a_difference_is_seen(ours, theirs):
    compare(theirs, theirs, "here", *DEFAULT)
    with pytest.raises(AssertionError, match="here"):
        compare(ours, theirs, "here", *DEFAULT)


@pytest.mark.parametrize("name", SCRIPTS)
def test_reaches_its_goal(name):
    module = run(name, with_torch=False)
    assert module["results"]
    assert module["torch"] is tinygrad_edu
    module["goal"]()


@pytest.mark.torch
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_numbers_as_pytorch(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = run(name, with_torch=True)
    assert theirs["torch"] is torch
    theirs["goal"]()
    ours = run(name, with_torch=False)
    compare(ours["results"], theirs["results"], name, *TOLERANCES.get(name, DEFAULT))


def compare(ours, theirs, where, rtol, atol):
    """Number by number; the place is in the message."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key in theirs:
            compare(ours[key], theirs[key], f"{where}[{key!r}]", rtol, atol)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), where
        for k, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            compare(mine, other, f"{where}[{k}]", rtol, atol)
    elif hasattr(theirs, "detach"):
        assert repr(ours.dtype).split(".")[-1] == repr(theirs.dtype).split(".")[-1], where
        assert tuple(ours.shape) == tuple(theirs.shape), where
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, atol, err_msg=where)
    elif isinstance(theirs, str):
        assert ours.replace("tinygrad_edu.", "torch.") == theirs, where  # dtypes in reprs carry the package's name
    else:
        assert isinstance(ours, bool) == isinstance(theirs, bool), where
        np.testing.assert_allclose(ours, theirs, rtol, atol, err_msg=where)
