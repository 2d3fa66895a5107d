"""What functions with several results return: tuples whose parts have names, and that print as PyTorch's do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Result(tuple[Any, ...]):
    """A tuple whose parts are attributes too, in the order of `fields`."""

    __slots__ = ()
    fields: tuple[str, ...] = ()

    def __new__(cls, parts: Iterable[Any]) -> Result:
        made = super().__new__(cls, parts)
        if len(made) != len(cls.fields):
            raise TypeError(f"{cls.__name__}: needs {len(cls.fields)} parts ({', '.join(cls.fields)}), got {len(made)}")
        return made

    def __getattr__(self, name: str) -> Any:
        fields = type(self).fields
        if name in fields:
            return self[fields.index(name)]
        raise AttributeError(f"{type(self).__name__} has no part {name!r}; its parts are {', '.join(fields)}")

    def __repr__(self) -> str:
        parts = (f"{name}={part!r}" for name, part in zip(self.fields, self, strict=True))
        return f"tinygrad_edu.return_types.{type(self).__name__}(\n" + ",\n".join(parts) + ")"

    def __reduce__(self) -> Any:
        return type(self), (tuple(self),)


def _result(name: str, *fields: str) -> type[Result]:
    doc = f"What `{name}` returns: {', '.join(fields)}."
    return type(name, (Result,), {"__slots__": (), "fields": fields, "__doc__": doc, "__module__": __name__})


max, min, sort, topk, kthvalue, median, nanmedian, mode, cummax, cummin = (
    _result(name, "values", "indices")
    for name in ("max", "min", "sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin")
)
aminmax = _result("aminmax", "min", "max")
frexp = _result("frexp", "mantissa", "exponent")
histogram = _result("histogram", "hist", "bin_edges")
slogdet = _result("slogdet", "sign", "logabsdet")
qr = _result("qr", "Q", "R")
svd = _result("svd", "U", "S", "V")
linalg_slogdet = _result("linalg_slogdet", "sign", "logabsdet")
linalg_eigh = _result("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_qr = _result("linalg_qr", "Q", "R")
linalg_svd = _result("linalg_svd", "U", "S", "Vh")
linalg_lstsq = _result("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
