"""Windows of 2 x 2, two columns apart."""

from __future__ import annotations

from ...quiet import Array
from ..cpu import LANE_BYTES
from ..inner import inner
from ..lanes import number
from ..twos import largest_of_twos, spread_to_twos
from .views import carray, pointer, share, word

MANY, FEW = LANE_BYTES // 4, 4  # windows at a time


@inner()
def largest_in_twos(x: Array, begin: int, end: int, sh: int, vectors: bool, indices: Array, out: Array) -> None:
    """Planes of x (planes, h, w) -> indices and out (planes, oh, ow): the largest of each window 2 x 2, and its place.

    Two columns lie between windows, sh rows. By vectors, the last of which overlaps the one before; one by one where
    there are too few.
    """
    w, count, zero = x.shape[2], out.shape[2], x.dtype.type(0)
    for plane in range(begin, end):
        for i in range(out.shape[1]):
            upper, lower = x[plane, i * sh], x[plane, i * sh + 1]
            target, places, first = out[plane, i], indices[plane, i], i * sh * w
            if vectors and FEW <= count:
                u, v, t, p = upper.ctypes.data, lower.ctypes.data, target.ctypes.data, places.ctypes.data
                largest_of_twos(u, v, 0, count, first, w, t, p, MANY, zero)
                largest_of_twos(u, v, count // MANY * MANY, count, first, w, t, p, FEW, zero)
                if count % FEW:
                    largest_of_twos(u, v, count - FEW, count, first, w, t, p, FEW, zero)
                continue
            for j in range(count):
                best, place = upper[2 * j], 0
                value = upper[2 * j + 1]
                better = (value > best) | (value != value)
                best, place = (value if better else best), (1 if better else place)
                value = lower[2 * j]
                better = (value > best) | (value != value)
                best, place = (value if better else best), (w if better else place)
                value = lower[2 * j + 1]
                better = (value > best) | (value != value)
                best, place = (value if better else best), (w + 1 if better else place)
                target[j] = best
                places[j] = first + 2 * j + place


@inner()
def scatter_to_twos(grad: Array, indices: Array, begin: int, end: int, vectors: bool, out: Array) -> None:
    """The gradients of windows 2 x 2 side by side to their places: each pixel is set, and 0 elsewhere.

    An index outside its window is lost.
    """
    w, count, zero = out.shape[2], grad.shape[2], grad.dtype.type(0)
    for plane in range(begin, end):
        for i in range(grad.shape[1]):
            upper, lower = out[plane, 2 * i], out[plane, 2 * i + 1]
            source, places, first = grad[plane, i], indices[plane, i], 2 * i * w
            if vectors and FEW <= count:
                u, v, s, p = upper.ctypes.data, lower.ctypes.data, source.ctypes.data, places.ctypes.data
                spread_to_twos(s, p, 0, count, first, w, u, v, MANY, zero)
                spread_to_twos(s, p, count // MANY * MANY, count, first, w, u, v, FEW, zero)
                if count % FEW:
                    spread_to_twos(s, p, count - FEW, count, first, w, u, v, FEW, zero)
            else:
                for j in range(count):
                    value, place = source[j], places[j] - first - 2 * j
                    upper[2 * j] = value if place == 0 else zero
                    upper[2 * j + 1] = value if place == 1 else zero
                    lower[2 * j] = value if place == w else zero
                    lower[2 * j + 1] = value if place == w + 1 else zero
            for j in range(2 * count, w):
                upper[j] = lower[j] = 0
        out[plane, 2 * grad.shape[1] :] = 0


def max_pool(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: planes, h, w, oh, ow, sh, x, indices, out."""
    planes, h, w, oh, ow = word(args, 0), word(args, 1), word(args, 2), word(args, 3), word(args, 4)
    zero = number(itemsize)
    begin, end = share(planes, thread, threads)
    x = carray(pointer(word(args, 6), zero), (planes, h, w))
    indices, out = (
        carray(pointer(word(args, 7), 0), (planes, oh, ow)),
        carray(pointer(word(args, 8), zero), (planes, oh, ow)),
    )
    largest_in_twos(x, begin, end, word(args, 5), True, indices, out)


def max_pool_backward(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: planes, h, w, oh, ow, grad, indices, out."""
    planes, h, w, oh, ow = word(args, 0), word(args, 1), word(args, 2), word(args, 3), word(args, 4)
    zero = number(itemsize)
    begin, end = share(planes, thread, threads)
    grad = carray(pointer(word(args, 5), zero), (planes, oh, ow))
    indices = carray(pointer(word(args, 6), 0), (planes, oh, ow))
    scatter_to_twos(grad, indices, begin, end, True, carray(pointer(word(args, 7), zero), (planes, h, w)))
