"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.modes import enable_grad, no_grad
from tinygrad_edu.kernels.quiet import silent
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.line_search import Point, strong_wolfe
from tinygrad_edu.optim.optimizer import Group, Optimizer, Params
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


class LBFGS(Optimizer):
    """Newton's method with a curvature that is estimated from the last steps (Liu and Nocedal, 1989).

    d = −H g, where H is built from the last history_size pairs s = change of p, y = change of g:
        H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ,  ρ = 1 / yᵀs,  beginning with yᵀs / yᵀy · I
    p ← p + t d, where t = lr, or found by a line search with line_search_fn="strong_wolfe"

    One `step(closure)` makes up to max_iter such moves and calls the closure up to max_eval times, 5/4 max_iter by
    default; it stops where max |g| ≤ tolerance_grad, or where p or the loss changes by no more than tolerance_change.
    There is one parameter group. The state belongs to the first parameter: d, t, old_dirs (the y), old_stps (the s),
    ro, H_diag, prev_flat_grad, prev_loss, func_evals, n_iter; PyTorch's scratch list `al` is not kept.
    Raises ValueError for a second group, RuntimeError for another line search, TypeError for a step without closure.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if self.param_groups:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups); give one list of tensors")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"LBFGS: only 'strong_wolfe' is supported, got line_search_fn={group['line_search_fn']!r}; or use None"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to max_iter moves; returns what closure() returned first.

        closure() clears the gradients, computes the loss, calls backward and returns the loss.
        """
        if closure is None:
            raise TypeError(
                "LBFGS.step: it computes the loss several times and needs a closure: def closure(): "
                "optimizer.zero_grad(); loss = ...; loss.backward(); return loss"
            )
        with no_grad():
            return self._minimize(enable_grad()(closure))

    def _minimize(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr, tolerance_change = float(group["lr"]), group["tolerance_change"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first = closure()
        loss, gradient, evaluations = float(first), self._flat_gradient(), 1
        state["func_evals"] += 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = _direction(state, gradient, group["history_size"])
            t = lr if state["n_iter"] > 1 else lr * min(1.0, 1.0 / float(np.abs(gradient).sum()))
            previous_loss = loss
            state.update(d=wrap(d), t=t, prev_flat_grad=wrap(gradient), prev_loss=loss)
            slope = float(gradient @ d)
            if slope > -tolerance_change:  # no longer a way down
                break
            calls = 0
            if group["line_search_fn"] is not None:
                found, calls = strong_wolfe(
                    self._along(d, closure),
                    Point(0.0, loss, gradient, slope),
                    t,
                    _largest(d),
                    tolerance_change,
                    group["max_eval"] - evaluations,
                )
                t, loss, gradient = found.t, found.loss, found.gradient
                state["t"] = t
                self._move(t, d)
            else:
                self._move(t, d)
                if n < group["max_iter"]:  # the next step begins by evaluating
                    loss, gradient, calls = float(closure()), self._flat_gradient(), 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(d) * abs(t) <= tolerance_change
                or abs(loss - previous_loss) < tolerance_change
            ):
                break
        return first

    def _along(self, d: Array, closure: Callable[[], Any]) -> Callable[[float], Point]:
        """The loss as a function of the step length; each call puts the parameters back."""
        params = self.param_groups[0]["params"]
        before = [p.array.copy() for p in params]

        def at(t: float) -> Point:
            self._move(t, d)
            loss, gradient = float(closure()), self._flat_gradient()
            for p, array in zip(params, before, strict=True):
                p.array[...] = array
                versions.bump(p.array)
            return Point(t, loss, gradient, float(gradient @ d))

        return at

    @silent
    def _move(self, t: float, d: Array) -> None:
        """p ← p + t d."""
        start = 0
        for p in self.param_groups[0]["params"]:
            size = p.array.size
            p.array += t * d[start : start + size].reshape(p.array.shape)
            versions.bump(p.array)
            start += size

    def _flat_gradient(self) -> Array:
        """The gradients of all parameters as one vector; 0 where there is none."""
        parts = []
        for p in self.param_groups[0]["params"]:
            grad = p.grad
            parts.append(np.zeros_like(p.array) if grad is None else self._gradient(p.array, grad.array))
        return np.concatenate([part.reshape(-1) for part in parts])


@silent
def _direction(state: dict[str, Any], gradient: Array, history_size: int) -> Array:
    """−H g by the two-loop recursion (Nocedal and Wright, 2006, Algorithm 7.4), after the last step is remembered."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return -gradient
    ys, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    y, s = gradient - state["prev_flat_grad"].array, state["d"].array * float(state["t"])
    curvature = y @ s
    if curvature > 1e-10:  # else H would not stay positive definite
        if len(ys) == history_size:
            for kept in (ys, steps, ro):
                kept.pop(0)
        ys.append(wrap(y))
        steps.append(wrap(s))
        ro.append(wrap(np.asarray(1 / curvature)))
        state["H_diag"] = wrap(np.asarray(curvature / (y @ y)))
    d, alphas = -gradient, []
    for y_i, s_i, ro_i in zip(reversed(ys), reversed(steps), reversed(ro), strict=True):
        alphas.append(ro_i.array * (s_i.array @ d))
        d = d - alphas[-1] * y_i.array
    d = d * float(state["H_diag"])
    for y_i, s_i, ro_i, alpha in zip(ys, steps, ro, reversed(alphas), strict=True):
        d = d + s_i.array * (alpha - ro_i.array * (y_i.array @ d))
    return d


def _largest(vector: Array) -> float:
    return float(np.abs(vector).max(initial=0.0))
