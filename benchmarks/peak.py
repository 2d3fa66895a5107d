"""The FMA peak of this machine, measured: `python -m benchmarks.peak THREADS` prints it as JSON, in FLOP/s.

Each thread repeats x = x · scale + shift on float32 vectors that stay in registers: no memory, no dependence between
vectors, one fused multiply-add an instruction.  No kernel can be faster; matrix products reach 80 to 95 % of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import numba
import numba.core.cgutils
import numba.extending
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from tinygrad_edu.kernels.compiled.lanes import LANE_BYTES

cgutils: Any = numba.core.cgutils
intrinsic: Any = numba.extending.intrinsic
VECTORS = 12  # latency times throughput is 8 to 10 on today's cores; 12 and two constants fit in 16 registers
LANES = LANE_BYTES // 4
VECTOR = ir.VectorType(ir.FloatType(), LANES)


def _splat(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


@intrinsic  # type: ignore[untyped-decorator]
def _multiply_add(context: Any, rounds: Any, start: Any, scale: Any, shift: Any) -> Any:
    """x = x · scale + shift, `rounds` times, for VECTORS vectors x of start; returns one number of their sum."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start, scale, shift = (_splat(builder, value) for value in args[1:])
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        # not equal at the start, or LLVM would see that one vector stands for all
        vectors = [start]
        for _ in range(VECTORS - 1):
            vectors.append(builder.fadd(vectors[-1], shift))
        places = [cgutils.alloca_once_value(builder, vector) for vector in vectors]
        with cgutils.for_range(builder, args[0]):
            for place in places:
                builder.store(builder.call(fma, [builder.load(place), scale, shift]), place)
        total = builder.load(places[0])
        for place in places[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.int64, types.float32, types.float32, types.float32), emit


@numba.njit(nogil=True)
def _work(rounds: int, start: Any, scale: Any, shift: Any) -> Any:
    return _multiply_add(rounds, start, scale, shift)


def run(rounds: int, threads: int) -> float:
    """Seconds from the first start to the last end of `threads` threads that do `rounds` rounds each."""
    starts, ends = [0.0] * threads, [0.0] * threads
    ready = threading.Barrier(threads)

    def one(k: int) -> None:
        ready.wait()
        starts[k] = time.perf_counter()
        _work(rounds, np.float32(0.5), np.float32(0.999), np.float32(0.001))
        ends[k] = time.perf_counter()

    workers = [threading.Thread(target=one, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(ends) - min(starts)


def measure(threads: int, seconds: float = 1.0) -> float:
    """FLOP/s of the best of many runs of about 10 ms."""
    _work(1, np.float32(0.5), np.float32(0.999), np.float32(0.001))
    rounds = 100_000
    rounds = max(1, int(rounds * 0.01 / run(rounds, 1)))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, run(rounds, threads))
    return 2.0 * VECTORS * LANES * rounds * threads / best


if __name__ == "__main__":
    print(json.dumps({str(threads): measure(threads) for threads in sorted({1, int(sys.argv[1])})}))
