"""docs/coverage.md is what the code says, and every name of PyTorch that is not here names the nearest way."""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from pathlib import Path

import pytest

import tinygrad_edu
from tinygrad_edu import coverage, missing

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
NAMES = coverage.names()
REFUSED = [(module, name) for module in NAMES for name in NAMES[module] if coverage.refusal(module, name) is not None]


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == coverage.page(), "run: make docs"


def test_it_is_written_where_asked(tmp_path):
    path = coverage.main(str(tmp_path / "new" / "page.md"))
    assert path.read_text(encoding="utf-8").startswith("# PyTorch's names in tinygrad_edu")


def test_no_name_is_listed_twice():
    for module, listed in NAMES.items():
        assert len(set(listed)) == len(listed), module


@pytest.mark.parametrize(("module", "name"), REFUSED, ids=lambda word: word)
def test_what_is_not_supported_names_the_nearest_way(module, name):
    way = coverage.refusal(module, name)
    assert way
    owner = coverage.place(module)
    if name in dir(owner):  # there to refuse
        call = getattr(owner, name)
        with pytest.raises((NotImplementedError, RuntimeError), match=f"{name}.* (use|pad|not available)"):
            call(*[None for p in inspect.signature(call).parameters.values() if p.default is p.empty])
    else:
        with pytest.raises(AttributeError) as caught:
            getattr(owner, name)
        assert f"no attribute {name!r}; PyTorch has it, tinygrad_edu has not: {way}" in str(caught.value)


def test_what_differs_is_listed_and_supported():
    for module in coverage.DIFFERENCES:
        for name in coverage.differences(module):
            assert name in NAMES[module], (module, name)
            assert coverage.refusal(module, name) is None, (module, name)


def test_what_is_said_of_missing_names_is_said_of_names_that_are_missing():
    for owner, table in missing.INSTEAD_IN.items():
        module = "torch" + (f".{owner}" if owner else "")
        for name in " ".join(table).split():
            assert (module, name) in REFUSED, (module, name)


def test_support_is_read_from_the_code():
    assert coverage.refusal("torch", "matmul") is None
    assert coverage.refusal("torch.Tensor", "mT") is None  # a property that a scalar has not
    assert coverage.refusal("torch.nn.Module", "half") == "use .float() or .double()"
    assert coverage.refusal("torch.optim", "no_such_name") == ""


def test_everything_that_modules_offer_under_pytorchs_names_is_listed():
    for module in ("nn", "nn.functional", "optim", "optim.lr_scheduler", "distributions", "utils.data"):
        offered = importlib.import_module(f"tinygrad_edu.{module}").__all__
        own = {"WorkerInfo", "default_collate", "default_convert", "get_worker_info"}
        assert set(offered) - set(NAMES[f"torch.{module}"]) <= own, module


@pytest.mark.torch
def test_pytorch_has_every_name():
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13"):
        pytest.skip("the list is of PyTorch 2.13")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unknown = []
        for module, listed in NAMES.items():
            owner = torch
            for part in module.split(".")[1:]:
                owner = getattr(owner, part)
            unknown += [f"{module}.{name}" for name in listed if not has(owner, module, name)]
    assert not unknown


def has(owner, module, name):
    if hasattr(owner, name):
        return True
    return isinstance(owner, type(tinygrad_edu)) and importlib.util.find_spec(f"{module}.{name}") is not None
