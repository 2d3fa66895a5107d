"""Windows of 2 x 2 by vectors: rows are read whole, and even and odd columns told apart by shuffles.

LLVM does not do so by itself where places are int64 and values float32: its loop took 17 times as long as a copy.
Addresses are int64; `zero` is a number of the elements' type. Each function takes the windows from `begin` on, `lanes`
(a constant) at a time, and leaves what is left of `count` to its caller. Numba's cache does not see changes of this
file: empty it when you edit it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from .lanes import ADDRESS, INT, SHORT, Emit, _at, _int, _loop, intrinsic


def _kinds(zero: Any, lanes: Any) -> tuple[Any, Any, int, int]:
    """LLVM's vectors of `lanes` values and of as many int64, how many that is, and the bytes of a value."""
    count, size = lanes.literal_value, zero.bitwidth // 8
    element = ir.FloatType() if size == 4 else ir.DoubleType()
    return ir.VectorType(element, count), ir.VectorType(INT, count), count, size


def _splat(builder: Any, value: Any, whole: Any) -> Any:
    one = builder.insert_element(ir.Constant(whole, ir.Undefined), value, ir.Constant(SHORT, 0))
    return _shuffle(builder, one, one, [0] * whole.count)


def _shuffle(builder: Any, x: Any, y: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(SHORT, len(places)), places))


def _larger(builder: Any, best: Any, place: Any, value: Any, other: Any) -> tuple[Any, Any]:
    """The larger of best and value, and its place: best's if they are equal, value's if that is NaN."""
    better = builder.or_(builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value))
    return builder.select(better, value, best), builder.select(better, other, place)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def largest_of_twos(
    context: Any,
    upper: Any,
    lower: Any,
    begin: Any,
    count: Any,
    first: Any,
    width: Any,
    target: Any,
    places: Any,
    lanes: Any,
    zero: Any,
) -> Emit:
    """target[j] = the largest of upper and lower at 2 j and 2 j + 1; places[j] = first + 2 j + where it is (int64).

    first: the place of upper's first entry; width: of lower's after upper's.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, whole, n, size = _kinds(zero, lanes)
        upper, lower, begin, count, first, width, target, places = args[:8]
        even, odd = list(range(0, 2 * n, 2)), list(range(1, 2 * n, 2))
        steps = ir.Constant(whole, even)
        zeros, ones = ir.Constant(whole, [0] * n), ir.Constant(whole, [1] * n)
        below = _splat(builder, width, whole)

        def row(address: Any, offset: Any) -> tuple[Any, Any]:
            halves = [
                builder.load(_at(builder, builder.add(address, offset), k * n * size, vector), align=size)
                for k in range(2)
            ]
            left, right = (_shuffle(builder, halves[0], halves[1], columns) for columns in (even, odd))
            return _larger(builder, left, zeros, right, ones)

        def windows(carried: list[Any]) -> list[Any]:
            (done,) = carried
            offset = builder.mul(done, _int(2 * size))
            best, place = row(upper, offset)
            value, other = row(lower, offset)
            best, place = _larger(builder, best, place, value, builder.add(other, below))
            start = _splat(builder, builder.add(first, builder.mul(done, _int(2))), whole)
            place = builder.add(builder.add(place, steps), start)
            builder.store(best, _at(builder, target, builder.mul(done, _int(size)), vector), align=size)
            builder.store(place, _at(builder, places, builder.mul(done, _int(8)), whole), align=8)
            return [builder.add(done, _int(n))]

        _loop(builder, builder.sdiv(builder.sub(count, begin), _int(n)), [begin], windows)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 8, lanes, zero), emit


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def spread_to_twos(
    context: Any,
    source: Any,
    places: Any,
    begin: Any,
    count: Any,
    first: Any,
    width: Any,
    upper: Any,
    lower: Any,
    lanes: Any,
    zero: Any,
) -> Emit:
    """The inverse for gradients: source[j] where places[j] says, and 0 in the other three of upper and lower."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, whole, n, size = _kinds(zero, lanes)
        source, places, begin, count, first, width, upper, lower = args[:8]
        steps = ir.Constant(whole, list(range(0, 2 * n, 2)))
        blank = ir.Constant(vector, [0.0] * n)
        offsets = [_splat(builder, value, whole) for value in (_int(0), _int(1), width, builder.add(width, _int(1)))]

        def windows(carried: list[Any]) -> list[Any]:
            (done,) = carried
            value = builder.load(_at(builder, source, builder.mul(done, _int(size)), vector), align=size)
            place = builder.load(_at(builder, places, builder.mul(done, _int(8)), whole), align=8)
            start = _splat(builder, builder.add(first, builder.mul(done, _int(2))), whole)
            place = builder.sub(builder.sub(place, steps), start)
            parts = [builder.select(builder.icmp_signed("==", place, offset), value, blank) for offset in offsets]
            for address, left, right in ((upper, parts[0], parts[1]), (lower, parts[2], parts[3])):
                for k in range(2):
                    order = [k * n // 2 + i // 2 + (n if i % 2 else 0) for i in range(n)]
                    at = builder.add(address, builder.mul(done, _int(2 * size)))
                    builder.store(
                        _shuffle(builder, left, right, order), _at(builder, at, k * n * size, vector), align=size
                    )
            return [builder.add(done, _int(n))]

        _loop(builder, builder.sdiv(builder.sub(count, begin), _int(n)), [begin], windows)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 8, lanes, zero), emit
