"""The register tile of the matrix product, as a Numba intrinsic: what `products` is built around.

Addresses and strides are bytes as int64; `zero` is a number of the elements' type. Nothing is checked: the caller keeps
every address inside its array. Numba's cache does not see changes of this file: empty it when you edit it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from .lanes import (
    ADDRESS,
    LANE_BYTES,
    Emit,
    _at,
    _int,
    _loop,
    _multiply_add,
    _splat,
    _vector,
    intrinsic,
)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def multiply(
    context: Any,
    count: Any,
    x: Any,
    x_row: Any,
    x_column: Any,
    rows: Any,
    y: Any,
    start: Any,
    start_row: Any,
    out: Any,
    out_row: Any,
    positive: Any,
    height: Any,
    width: Any,
    zero: Any,
) -> Emit:
    """out[i, v] = start[i, v] + sum over k < count of x[i, k] y[k, v], for a tile of `height` rows and `width` vectors.

    y are packed vectors (count, width). Where there are fewer than `height` rows, the last one is computed again.
    positive: whether to put 0 in place of what is below 0 (NaN stays). All of start is read before out is written.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, lanes, size = _vector(zero)
        count, x, x_row, x_column, rows, y, start, start_row, out, out_row, positive = args[:11]
        tile_height, tile_width = height.literal_value, width.literal_value
        last = builder.sub(rows, _int(1))
        places = []
        for i in range(tile_height):
            inside = builder.icmp_signed("<", _int(i), last)
            places.append(builder.select(inside, _int(i), last))
        lines = [builder.add(x, builder.mul(x_row, place)) for place in places]
        sums = [
            builder.load(
                _at(builder, builder.add(start, builder.mul(start_row, place)), v * LANE_BYTES, vector), align=size
            )
            for place in places
            for v in range(tile_width)
        ]

        def add_products(carried: list[Any]) -> list[Any]:
            offset, y_at, sums = carried[0], carried[1], carried[2:]
            values = [
                builder.load(_at(builder, y_at, v * LANE_BYTES, vector), align=LANE_BYTES) for v in range(tile_width)
            ]
            for i in range(tile_height):
                factor = _splat(
                    builder, builder.load(_at(builder, lines[i], offset, vector.element), align=size), vector
                )
                for v in range(tile_width):
                    place = i * tile_width + v
                    sums[place] = _multiply_add(builder, factor, values[v], sums[place])
            return [builder.add(offset, x_column), builder.add(y_at, _int(tile_width * LANE_BYTES)), *sums]

        sums = _loop(builder, count, [_int(0), y, *sums], add_products)[2:]
        blank = ir.Constant(vector, [0.0] * lanes)
        keep = builder.icmp_signed("==", positive, _int(0))
        for i, place in enumerate(places):
            line = builder.add(out, builder.mul(out_row, place))
            for v in range(tile_width):
                value = sums[i * tile_width + v]
                above = builder.select(builder.fcmp_ordered("<=", value, blank), blank, value)
                builder.store(
                    builder.select(keep, value, above), _at(builder, line, v * LANE_BYTES, vector), align=size
                )
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 11, height, width, zero), emit


@intrinsic  # type: ignore[untyped-decorator]
def copy_vector(context: Any, target: Any, source: Any, zero: Any) -> Emit:
    """One vector at source -> target."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, _, size = _vector(zero)
        builder.store(
            builder.load(_at(builder, args[1], 0, vector), align=size), _at(builder, args[0], 0, vector), align=size
        )
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, zero), emit
