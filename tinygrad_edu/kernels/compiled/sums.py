"""Sums of numbers that stand side by side, in float64 and in one order on every CPU, as Numba intrinsics.

32 partial sums are kept, of every 32nd number, then added pairwise, then what is left over one by one. LLVM would make
as many partial sums as suit the CPU, and thereby other last bits on each. Addresses are int64.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from .lanes import ADDRESS, SHORT, Emit, _at, _int, _loop, _multiply_add, intrinsic

LANES, VECTORS = 8, 4
DOUBLES = ir.VectorType(ir.DoubleType(), LANES)


def _sum(builder: Any, addresses: list[Any], count: Any, kind: Any) -> Any:
    """Sum over i < count of the product of the numbers i at the addresses, one or two."""
    element, size = (ir.FloatType(), 4) if kind.bitwidth == 32 else (ir.DoubleType(), 8)

    def number(address: Any, offset: Any, lanes: int) -> Any:
        source = ir.VectorType(element, lanes) if lanes > 1 else element
        value = builder.load(_at(builder, address, offset, source), align=size)
        target = DOUBLES if lanes > 1 else ir.DoubleType()
        return value if size == 8 else builder.fpext(value, target)

    def add(total: Any, offset: Any, lanes: int) -> Any:
        values = [number(address, offset, lanes) for address in addresses]
        if len(values) == 1:
            return builder.fadd(total, values[0])
        if lanes > 1:
            return _multiply_add(builder, values[0], values[1], total)
        return builder.fma(*values, total)

    def add_vectors(carried: list[Any]) -> list[Any]:
        offset, totals = carried[0], carried[1:]
        totals = [add(total, builder.add(offset, _int(v * LANES * size)), LANES) for v, total in enumerate(totals)]
        return [builder.add(offset, _int(LANES * VECTORS * size)), *totals]

    def add_one(carried: list[Any]) -> list[Any]:
        offset, total = carried
        return [builder.add(offset, _int(size)), add(total, offset, 1)]

    blocks = builder.sdiv(count, _int(LANES * VECTORS))
    blank = ir.Constant(DOUBLES, [0.0] * LANES)
    offset, *totals = _loop(builder, blocks, [_int(0), *[blank] * VECTORS], add_vectors)
    low, high = builder.fadd(totals[0], totals[1]), builder.fadd(totals[2], totals[3])
    total = builder.fadd(low, high)
    while total.type.count > 1:
        places = list(range(total.type.count))
        half = len(places) // 2
        parts = [ir.Constant(ir.VectorType(SHORT, half), part) for part in (places[:half], places[half:])]
        total = builder.fadd(*[builder.shuffle_vector(total, total, part) for part in parts])
    total = builder.extract_element(total, ir.Constant(SHORT, 0))
    left = builder.sub(count, builder.mul(blocks, _int(LANES * VECTORS)))
    return _loop(builder, left, [offset, total], add_one)[1]


@intrinsic  # type: ignore[untyped-decorator]
def total_of(context: Any, x: Any, count: Any, zero: Any) -> Emit:
    """The sum of `count` numbers at x, of the type of `zero`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _sum(builder, [args[0]], args[1], zero)

    return types.float64(ADDRESS, ADDRESS, zero), emit


@intrinsic  # type: ignore[untyped-decorator]
def total_of_products(context: Any, x: Any, y: Any, count: Any, zero: Any) -> Emit:
    """The sum of the products of `count` numbers at x and at y, of the type of `zero`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _sum(builder, [args[0], args[1]], args[2], zero)

    return types.float64(ADDRESS, ADDRESS, ADDRESS, zero), emit
