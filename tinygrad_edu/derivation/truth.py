"""What the engine says: the values of all named quantities of one run, and the derivative of each by each.

A named value is a node of the recorded graph, so that dL/dmu is the *total* derivative: along every path from mu to L.
The local partial derivative of C by B, with the other named values held, follows from the total ones: what the paths
through a named D between them bring is taken off, from the latest D down,

    P[C, B] = T[C, B] - sum over D of P[C, D] T[D, B].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.autograd import functional
from tinygrad_edu.autograd.modes import fused
from tinygrad_edu.derivation.expressions import Expression, FormulaError
from tinygrad_edu.derivation.setting import Setting
from tinygrad_edu.derivation.tensors import recorded
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

__all__ = ["Names", "World"]

Numbers = NDArray[np.float64]


class World:
    """One run of the forward pass: sizes, inputs, the named values, and their derivatives, computed when asked for.

    setting: the forward pass and its options.  sizes: by letter.  inputs: by name, arrays.  upstream: dL/d(output).
    Raises FormulaError when the forward pass does not return a dict of tensors, or its output is no scalar and no
    upstream was named.
    """

    def __init__(
        self, setting: Setting, sizes: Mapping[str, int], inputs: Mapping[str, Numbers], rng: np.random.Generator
    ) -> None:
        self.setting, self.sizes = setting, dict(sizes)
        self.inputs = {key: np.asarray(x, np.float64) for key, x in inputs.items()}
        self.tensors: dict[str, Tensor] = {key: _leaf(x, key) for key, x in self.inputs.items()}
        with fused(False):
            found = setting.run(self.tensors)
        self.fixed: dict[str, Numbers] = {}  # named values that do not depend on the inputs
        for key, value in found.items():
            if isinstance(value, Tensor) and live_node(value) is not None:
                self.tensors[key] = value
            else:
                self.fixed[key] = np.asarray(value, np.float64)
        for key in self.tensors.keys() & self.fixed.keys():
            del self.tensors[key]
        self.output = next(reversed(found))
        inner = sorted(
            (key for key in found if key in self.tensors), key=lambda key: live_node(self.tensors[key]).position
        )
        self.order = [*(key for key in self.inputs if key not in inner), *inner]  # earlier before later
        self.values: dict[str, Numbers] = {
            **{key: np.asarray(x, np.float64) for key, x in setting.constants.items() if is_numeric(x)},
            **{key: np.asarray(float(n)) for key, n in self.sizes.items()},
            **{key: np.array(x.array, np.float64) for key, x in self.tensors.items()},
            **self.fixed,
        }
        self.upstream = self._upstream(rng)
        self._gradients: dict[str, Numbers] | None = None
        self._rows: dict[str, dict[str, Numbers]] = {}
        self._local: dict[tuple[str, str], Numbers] = {}
        self._entrywise: tuple[str, ...] | None = None
        self._twin: World | None = None
        self.names = Names(self)

    def _upstream(self, rng: np.random.Generator) -> Numbers | None:
        name, shape = self.setting.upstream, self.values[self.output].shape
        if name is None:
            return np.ones(shape) if self.values[self.output].size == 1 else None
        given = self.setting.draw_of_upstream(rng, shape)
        self.values[name] = given
        return given

    def with_upstream(self, given: Numbers) -> World:
        """Set dL/d(output), before anything was asked."""
        assert self.setting.upstream is not None and self._gradients is None
        self.upstream = self.values[self.setting.upstream] = given
        return self

    def twin(self) -> World:
        """The same run with inputs changed in their last digits: what differs between the two is rounding."""
        if self._twin is None:
            rng = np.random.default_rng(0)
            inputs = {key: x * (1 + 2.0**-50 * rng.choice([-1.0, 1.0], size=x.shape)) for key, x in self.inputs.items()}
            self._twin = World(self.setting, self.sizes, inputs, rng)
            if self.setting.upstream is not None and self.upstream is not None:
                self._twin.with_upstream(self.upstream)
        return self._twin

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a named value."""
        return self.values[name].shape

    # -- derivatives --------------------------------------------------------------------------------------------------

    def gradient(self, name: str) -> Numbers:
        """dL/d(name), total."""
        if self._gradients is None:
            if self.upstream is None:
                raise FormulaError(
                    f"the output {self.output} has the shape {self.shape(self.output)}, so there is no loss to "
                    f"differentiate: return a scalar last, or name its gradient: Derivation(..., upstream='g')"
                )
            if self.output not in self.tensors:
                raise FormulaError(
                    f"the output {self.output} was not computed from the inputs by recorded operations (a number by "
                    f".item(), a NumPy array, a detached tensor), so it has no gradient; return the tensor itself"
                )
            self._gradients = self._back(self.output, self.upstream)
        return self._gradients[name]

    def jacobian(self, of: str, by: str) -> Numbers:
        """d(of)/d(by), total, with the axes of `of` first."""
        if of not in self._rows:
            shape = self.shape(of)
            rows = [self._back(of, unit.reshape(shape)) for unit in np.eye(int(np.prod(shape)))]
            self._rows[of] = {
                key: np.stack([row[key] for row in rows]).reshape(shape + self.shape(key))
                for key in (*self.order, *self.fixed)
            }
        return self._rows[of][by]

    def differentiated(self, text: str, tree: Expression, labels: tuple[str, ...], by: str) -> Numbers:
        """d(formula)/d(by) for a formula of named values; the axes of its labels first."""
        key = f"{text}[{','.join(labels)}]"
        if key not in self.values:
            with fused(False):
                made = recorded(tree, {**self.values, **self.tensors}, labels)
            self.tensors[key] = made
            self.values[key] = np.array(made.array, np.float64)
        return self.jacobian(key, by)

    def _back(self, of: str, seed: Numbers) -> dict[str, Numbers]:
        """The derivative of <seed, of> by every named value; 0 for what it does not depend on."""
        out = {key: np.zeros(self.shape(key)) for key in (*self.order, *self.fixed)}
        if of in self.tensors and live_node(self.tensors[of]) is not None:
            wanted = [self.tensors[key] for key in self.order]
            found = functional.grad(self.tensors[of], wanted, _constant(seed), retain_graph=True, allow_unused=True)
            out.update({key: x.array for key, x in zip(self.order, found, strict=True) if x is not None})
        return out

    def local(self, of: str, by: str) -> Numbers:
        """The partial derivative of `of` by `by` with all other named values held."""
        if (of, by) not in self._local:
            start, end = self.order.index(by), self.order.index(of)
            total = self.jacobian(of, by).copy()
            dims = len(self.shape(of))
            parts = float(np.abs(total).max(initial=0.0))
            for between in reversed(self.order[start + 1 : end]):
                first = self.local(of, between)
                if first.any():
                    axes = tuple(range(dims, first.ndim))
                    part = np.tensordot(first, self.jacobian(between, by), axes=(axes, tuple(range(len(axes)))))
                    parts = max(parts, float(np.abs(part).max(initial=0.0)))
                    total -= part
            total[np.abs(total) < 1e-12 * parts] = 0.0  # a rounding error of what it was taken from
            self._local[of, by] = total
        return self._local[of, by]

    def entrywise(self) -> tuple[str, ...]:
        """The steps of the forward pass that work entry by entry, as their derivatives are called: "da1/dz1"."""
        if self._entrywise is None:
            found = []
            for k, by in enumerate(self.order):
                for of in self.order[k + 1 :]:
                    shape = self.shape(by)
                    if self.shape(of) != shape or not self.local(of, by).any():
                        continue
                    size = int(np.prod(shape))
                    square = self.jacobian(of, by).reshape(size, size)
                    diagonal = np.diag(np.diagonal(square))
                    direct = np.array_equal(self.local(of, by).reshape(size, size), square)
                    if direct and np.array_equal(square, diagonal) and not (np.diagonal(square) == 1).all():
                        found.append(f"d{of}/d{by}")
            self._entrywise = tuple(found)
        return self._entrywise

    def contributions(self, by: str, of: str | None = None) -> dict[str, Numbers]:
        """What each way from `by` brings to dL/d(by), or to d(of)/d(by), by the named value it goes to first.

        They add up to the total derivative.
        """
        if by not in self.order:
            return {}
        end = of if of is not None else self.output
        if end not in self.order or self.order.index(end) <= self.order.index(by):
            return {}
        between = self.order[self.order.index(by) + 1 : self.order.index(end) + 1]
        dims = len(self.shape(of)) if of is not None else 0
        out = {}
        for first in between:
            if of is None:
                onward = self.gradient(first)
            elif first == of:
                size = int(np.prod(self.shape(of)))
                onward = np.eye(size).reshape(self.shape(of) * 2)
            else:
                onward = self.jacobian(of, first)
            step = self.local(first, by)
            axes = tuple(range(dims, onward.ndim))
            if step.any():
                out[first] = np.tensordot(onward, step, axes=(axes, tuple(range(len(axes)))))
        return out


class Names(Mapping[str, Numbers]):
    """All names that a formula may use: quantities, sizes, constants, and derivatives as "df/dmu"."""

    def __init__(self, world: World, replaced: Mapping[str, Numbers] | None = None) -> None:
        self.world = world
        self.replaced = dict(replaced or {})

    def derivative(self, key: str) -> tuple[str | None, str] | None:
        """("xhat", "x") for "dxhat/dx", (None, "x") for "df/dx", else None."""
        if not key.startswith("d") or "/d" not in key:
            return None
        setting, known = self.world.setting, self.world.values
        for cut in range(len(key)):
            if key.startswith("/d", cut):
                of, by = key[1:cut], key[cut + 2 :]
                if by in self.world.tensors or by in self.world.fixed:
                    if of in setting.losses:
                        return None, by
                    if of in known:
                        return of, by
        return None

    def __getitem__(self, key: str) -> Numbers:
        if key in self.replaced:
            return self.replaced[key]
        if key in self.world.values:
            return self.world.values[key]
        found = self.derivative(key)
        if found is None:
            raise KeyError(key)
        of, by = found
        return self.world.gradient(by) if of is None else self.world.jacobian(of, by)

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a value, without computing a derivative for it."""
        if key in self.replaced:
            return self.replaced[key].shape
        values = self.world.values
        if key in values:
            return values[key].shape
        found = self.derivative(key)
        if found is None:
            raise KeyError(key)
        return (() if found[0] is None else values[found[0]].shape) + values[found[1]].shape

    def __contains__(self, key: object) -> bool:
        return (
            key in self.replaced
            or key in self.world.values
            or (isinstance(key, str) and self.derivative(key) is not None)
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.world.values)

    def __len__(self) -> int:
        return len(self.world.values)


def is_numeric(x: Any) -> bool:
    """Whether a constant can stand in a formula."""
    return not isinstance(x, bool) and np.asarray(x).dtype.kind in "iuf"


def _leaf(array: Numbers, name: str) -> Tensor:
    x = _constant(array)
    x.requires_grad_()
    x.name = name
    return x


def _constant(array: Any) -> Tensor:
    from tinygrad_edu import creation

    return creation.tensor(np.array(array, np.float64), dtype=np.float64)
