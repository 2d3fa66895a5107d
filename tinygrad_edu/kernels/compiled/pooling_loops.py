"""Loops of pooling for windows of any kind, one plane (h, w) of one image a task; `pooling` calls them."""

from __future__ import annotations

from numba import prange

from ..quiet import Array
from .jit import jit


@jit()
def max_pool2d(
    x: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, dh: int, dw: int, indices: Array, out: Array
) -> None:
    """x (planes, h, w) -> indices and out (planes, oh, ow). Every window has a tap inside the plane."""
    h, w = x.shape[1], x.shape[2]
    oh, ow = out.shape[1:]
    for plane in prange(x.shape[0]):
        pixels = x[plane].reshape(h * w)
        for i in range(oh):
            top = i * sh - ph
            first_k = 0 if top >= 0 else (-top + dh - 1) // dh  # the first tap inside
            last_k = min(kh, (h - 1 - top) // dh + 1)
            for j in range(ow):
                left = j * sw - pw
                first_m = 0 if left >= 0 else (-left + dw - 1) // dw
                last_m = min(kw, (w - 1 - left) // dw + 1)
                place = (top + first_k * dh) * w + left + first_m * dw
                best = pixels[place]
                for k in range(first_k, last_k):
                    line = (top + k * dh) * w + left
                    for m in range(first_m, last_m):
                        value = pixels[line + m * dw]
                        # selections, no branch: which pixel wins cannot be predicted. NaN is unequal to itself
                        better = (value > best) | (value != value)
                        best = value if better else best
                        place = line + m * dw if better else place
                out[plane, i, j] = best
                indices[plane, i, j] = place


@jit()
def scatter(grad: Array, indices: Array, out: Array) -> None:
    """grad and indices (planes, k), out (planes, h w): windows of a plane overlap, planes do not."""
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            out[plane, i] = 0
        for i in range(grad.shape[1]):
            out[plane, indices[plane, i]] += grad[plane, i]


@jit()
def gather(x: Array, indices: Array, out: Array) -> None:
    """x (planes, h w), indices (planes, k) -> out (planes, k)."""
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            out[plane, i] = x[plane, indices[plane, i]]


@jit()
def avg_pool2d(x: Array, divisors: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, out: Array) -> None:
    """x (planes, h, w), divisors (oh, ow) -> out (planes, oh, ow)."""
    h, w = x.shape[1], x.shape[2]
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            top, bottom = max(0, i * sh - ph), min(h, i * sh - ph + kh)
            for j in range(out.shape[2]):
                left, right = max(0, j * sw - pw), min(w, j * sw - pw + kw)
                total = 0.0
                for k in range(top, bottom):
                    for m in range(left, right):
                        total += x[plane, k, m]
                out[plane, i, j] = total / divisors[i, j]


@jit()
def avg_pool2d_in_twos(x: Array, divisors: Array, sh: int, out: Array) -> None:
    """As `avg_pool2d` for windows 2 x 2 with two columns between them and no padding."""
    for plane in prange(x.shape[0]):
        for i in range(out.shape[1]):
            upper, lower = x[plane, i * sh], x[plane, i * sh + 1]
            target, divisor_row = out[plane, i], divisors[i]
            for j in range(target.size):
                total = 0.0 + upper[2 * j] + upper[2 * j + 1] + lower[2 * j] + lower[2 * j + 1]
                target[j] = total / divisor_row[j]


@jit()
def avg_pool2d_backward_in_twos(grad: Array, divisors: Array, out: Array) -> None:
    """As `avg_pool2d_backward` for windows 2 x 2 side by side: each pixel is written once."""
    oh, ow = grad.shape[1:]
    for plane in prange(grad.shape[0]):
        for i in range(oh):
            upper, lower = out[plane, 2 * i], out[plane, 2 * i + 1]
            source, divisor_row = grad[plane, i], divisors[i]
            for j in range(ow):
                share = source[j] / divisor_row[j]
                upper[2 * j] = share
                upper[2 * j + 1] = share
                lower[2 * j] = share
                lower[2 * j + 1] = share
            upper[2 * ow :] = 0
            lower[2 * ow :] = 0
        out[plane, 2 * oh :] = 0


@jit()
def avg_pool2d_backward(
    grad: Array, divisors: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, out: Array
) -> None:
    """grad (planes, oh, ow), divisors (oh, ow) -> out (planes, h, w)."""
    h, w = out.shape[1], out.shape[2]
    for plane in prange(out.shape[0]):
        out[plane] = 0
        for i in range(grad.shape[1]):
            top, bottom = max(0, i * sh - ph), min(h, i * sh - ph + kh)
            for j in range(grad.shape[2]):
                left, right = max(0, j * sw - pw), min(w, j * sw - pw + kw)
                share = grad[plane, i, j] / divisors[i, j]
                for k in range(top, bottom):
                    for m in range(left, right):
                        out[plane, k, m] += share
