"""Vector instructions for kernels that put one image in each SIMD lane, as Numba intrinsics.

A vector holds one pixel of LANE_BYTES / itemsize images, so every vector is full whatever the width of an image. LLVM
does not find such code by itself (plain loops reach a quarter of the speed), so it is spelled out here: a
transposition in and out of lanes, and two register tiles. All take addresses and strides in bytes as int64; `zero` is
a number of the elements' type. Nothing is checked: the callers' plans keep every address inside its array.

Numba's cache sees changes of the file a kernel is in, not of this one: empty it when you edit this, and run `make
kernels`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numba.core.cgutils
import numba.extending
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from .cpu import LANE_BYTES as LANE_BYTES
from .cpu import REGISTERS as REGISTERS

cgutils: Any = numba.core.cgutils
intrinsic: Any = numba.extending.intrinsic
Emit = tuple[Any, Callable[..., Any]]  # what an intrinsic returns: its signature and its code generator

INT = ir.IntType(64)
SHORT = ir.IntType(32)
ADDRESS = types.int64


def _vector(kind: Any) -> tuple[Any, int, int]:
    """LLVM's vector type for a Numba number, its lanes, and the bytes of an element."""
    size = kind.bitwidth // 8
    element = ir.FloatType() if size == 4 else ir.DoubleType()
    return ir.VectorType(element, LANE_BYTES // size), LANE_BYTES // size, size


def _int(value: int) -> Any:
    return ir.Constant(INT, value)


def _at(builder: Any, address: Any, offset: Any, kind: Any) -> Any:
    """The pointer to a `kind` at address + offset."""
    if isinstance(offset, int):
        offset = _int(offset)
    return builder.inttoptr(builder.add(address, offset), kind.as_pointer())


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(SHORT, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(SHORT, vector.count), [0] * vector.count))


def _suffix(vector: Any) -> str:
    return f"v{vector.count}{'f32' if isinstance(vector.element, ir.FloatType) else 'f64'}"


def _multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z, in one rounding where the CPU can."""
    kind = ir.FunctionType(x.type, [x.type] * 3)
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.{_suffix(x.type)}"), [x, y, z]
    )


def _loop(builder: Any, count: Any, carried: list[Any], body: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """`for _ in range(count): carried = body(carried)`, its variables kept in registers; count may be 0."""
    before, inside, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed(">", count, _int(0)), inside, after)
    builder.position_at_end(inside)
    k = builder.phi(INT)
    k.add_incoming(_int(0), before)
    current = []
    for value in carried:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        current.append(phi)
    new = body(current)
    following = builder.add(k, _int(1))
    end = builder.block
    k.add_incoming(following, end)
    for phi, value in zip(current, new, strict=True):
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", following, count), inside, after)
    builder.position_at_end(after)
    results = []
    for value, last in zip(carried, new, strict=True):
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        phi.add_incoming(last, end)
        results.append(phi)
    return results


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Rows of a square matrix -> its columns, by log2 rounds that swap the off-diagonal halves of ever larger blocks.

    Source: Eklundh (1972), A fast computer method for matrix transposing.
    """
    count, size = len(rows), 1
    mask_type = ir.VectorType(SHORT, count)
    rows = list(rows)
    while size < count:
        upper = [p if not p & size else p - size + count for p in range(count)]
        lower = [p + size if not p & size else p + count for p in range(count)]
        for i in range(count):
            if not i & size:
                x, y = rows[i], rows[i + size]
                rows[i] = builder.shuffle_vector(x, y, ir.Constant(mask_type, upper))
                rows[i + size] = builder.shuffle_vector(x, y, ir.Constant(mask_type, lower))
        size *= 2
    return rows


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def number(context: Any, itemsize: Any) -> Emit:
    """Zero in float32 (itemsize 4) or float64 (8), for a constant itemsize."""
    kind = types.float32 if itemsize.literal_value == 4 else types.float64

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_vector(kind)[0].element, 0.0)

    return kind(itemsize), emit


@intrinsic  # type: ignore[untyped-decorator]
def word(context: Any, source: Any, index: Any) -> Emit:
    """Word `index` of the int64 words at source."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_at(builder, args[0], builder.mul(args[1], _int(8)), INT))

    return ADDRESS(ADDRESS, ADDRESS), emit


@intrinsic  # type: ignore[untyped-decorator]
def store_zeros(context: Any, target: Any, count: Any, step: Any, zero: Any) -> Emit:
    """`count` vectors of zeros, at target + i step."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, lanes, size = _vector(zero)
        target, count, step, _ = args

        def store(carried: list[Any]) -> list[Any]:
            builder.store(ir.Constant(vector, [0.0] * lanes), _at(builder, carried[0], 0, vector), align=size)
            return [builder.add(carried[0], step)]

        _loop(builder, count, [target], store)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, ADDRESS, zero), emit


@intrinsic  # type: ignore[untyped-decorator]
def transpose(context: Any, source: Any, stride: Any, target: Any, step: Any, zero: Any) -> Emit:
    """The square matrix of the vectors at source + i stride -> its columns, as vectors at target + j step."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, lanes, size = _vector(zero)
        source, stride, target, step, _ = args
        rows = [
            builder.load(_at(builder, source, builder.mul(stride, _int(i)), vector), align=size) for i in range(lanes)
        ]
        for j, column in enumerate(_transposed(builder, rows)):
            builder.store(column, _at(builder, target, builder.mul(step, _int(j)), vector), align=size)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 4, zero), emit


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(context: Any, target: Any, source: Any, count: Any) -> Emit:
    """`count` bytes at source -> target."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8)
        cgutils.raw_memcpy(builder, _at(builder, args[0], 0, byte), _at(builder, args[1], 0, byte), args[2], 1)
        return context.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, ADDRESS), emit


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def weigh(
    context: Any,
    count: Any,
    weights: Any,
    taps: Any,
    source: Any,
    step: Any,
    biases: Any,
    positive: Any,
    target: Any,
    pitch: Any,
    spacing: Any,
    channels: Any,
    pixels: Any,
    zero: Any,
) -> Emit:
    """target[i pitch + v spacing] = biases[i] + sum over k < count of weights[k, i] source[taps[k] + v step].

    That for a tile (i, v); if `positive`, 0 in place of what is below 0 (NaN stays). weights are numbers (count,
    channels), one for all lanes, biases (channels,); taps are int64. The sums of `channels` x `pixels`, and a vector
    for each pixel, are held in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, lanes, size = _vector(zero)
        element = vector.element
        count, weights, taps, source, step, biases, positive, target, pitch, spacing = args[:10]
        height, width = channels.literal_value, pixels.literal_value
        sources = [builder.add(source, builder.mul(step, _int(v))) for v in range(width)]
        blank = ir.Constant(vector, [0.0] * lanes)
        starts = [_splat(builder, builder.load(_at(builder, biases, i * size, element)), vector) for i in range(height)]

        def add_tap(carried: list[Any]) -> list[Any]:
            weight_at, tap_at, sums = carried[0], carried[1], carried[2:]
            tap = builder.load(_at(builder, tap_at, 0, INT))
            values = [builder.load(_at(builder, base, tap, vector), align=size) for base in sources]
            for i in range(height):
                weight = _splat(builder, builder.load(_at(builder, weight_at, i * size, element)), vector)
                for v in range(width):
                    sums[i * width + v] = _multiply_add(builder, weight, values[v], sums[i * width + v])
            return [builder.add(weight_at, _int(height * size)), builder.add(tap_at, _int(8)), *sums]

        sums = _loop(builder, count, [weights, taps, *[start for start in starts for _ in range(width)]], add_tap)[2:]
        keep = builder.icmp_signed("==", positive, _int(0))
        for i in range(height):
            for v in range(width):
                offset = builder.add(builder.mul(pitch, _int(i)), builder.mul(spacing, _int(v)))
                value = sums[i * width + v]
                above = builder.select(builder.fcmp_ordered("<=", value, blank), blank, value)
                builder.store(builder.select(keep, value, above), _at(builder, target, offset, vector), align=size)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 10, channels, pixels, zero), emit


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def correlate(
    context: Any,
    rows: Any,
    columns: Any,
    grad: Any,
    source: Any,
    pitch: Any,
    step: Any,
    taps: Any,
    total: Any,
    spacing: Any,
    channels: Any,
    places: Any,
    zero: Any,
) -> Emit:
    """total[i spacing + j] += sum over y < rows, x < columns and lanes of grad[y columns + x, i] source[at].

    at = taps[j] + y pitch + x step; (i, j) is a tile. grad are vectors (rows * columns, channels); taps are int64,
    total float64. The sums of `channels` x `places` are vectors held in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, lanes, size = _vector(zero)
        rows, columns, grad, source, pitch, step, taps, total, spacing = args[:9]
        height, width = channels.literal_value, places.literal_value
        bases = [builder.add(source, builder.load(_at(builder, taps, 8 * j, INT))) for j in range(width)]
        blank = ir.Constant(vector, [0.0] * lanes)

        def add_row(carried: list[Any]) -> list[Any]:
            def add_pixel(carried: list[Any]) -> list[Any]:
                grad_at, offset, sums = carried[0], carried[1], carried[2:]
                values = [builder.load(_at(builder, base, offset, vector), align=size) for base in bases]
                for i in range(height):
                    factor = builder.load(_at(builder, grad_at, i * LANE_BYTES, vector), align=size)
                    for j in range(width):
                        sums[i * width + j] = _multiply_add(builder, factor, values[j], sums[i * width + j])
                return [builder.add(grad_at, _int(height * LANE_BYTES)), builder.add(offset, step), *sums]

            row = carried[1]
            grad_at, _, *sums = _loop(builder, columns, carried, add_pixel)
            return [grad_at, builder.add(row, pitch), *sums]

        sums = _loop(builder, rows, [grad, _int(0), *[blank] * (height * width)], add_row)[2:]
        for first in range(0, height * width, lanes):
            parts = _sums_of_lanes(builder, sums[first : first + lanes])
            for place in range(first, min(first + lanes, height * width)):
                i, j = divmod(place, width)
                offset = builder.add(builder.mul(spacing, _int(i)), _int(8 * j))
                at = _at(builder, total, offset, ir.DoubleType())
                part = builder.extract_element(parts, ir.Constant(SHORT, place - first))
                if size == 4:
                    part = builder.fpext(part, ir.DoubleType())
                builder.store(builder.fadd(builder.load(at), part), at)
        return context.get_dummy_value()

    return types.void(*[ADDRESS] * 9, channels, places, zero), emit


def _sums_of_lanes(builder: Any, vectors: list[Any]) -> Any:
    """The sum of each vector's lanes, side by side in one vector: halves are added two vectors at a time."""
    count = vectors[0].type.count
    kind = ir.VectorType(SHORT, count)
    vectors = vectors + [ir.Constant(vectors[0].type, [0.0] * count)] * (count - len(vectors))
    size = count // 2  # lanes that stay apart so far, in each part of a vector
    while size:
        # in each stretch of 2 size lanes of x and of y, the lower size and the upper size lanes are added
        stretches = range(0, count, 2 * size)
        low = [start + k for start in (*stretches, *(count + s for s in stretches)) for k in range(size)]
        high = [place + size for place in low]
        vectors = [
            builder.fadd(
                builder.shuffle_vector(x, y, ir.Constant(kind, low)),
                builder.shuffle_vector(x, y, ir.Constant(kind, high)),
            )
            for x, y in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        size //= 2
    return vectors[0]
