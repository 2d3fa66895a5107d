"""The vector unit that kernels are written for, and the settings of Numba that matter here, without importing Numba."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
AVX2 = {"avx2", "abm", "bmi1", "bmi2", "f16c", "fma", "movbe"}

# NUMBA_BOUNDSCHECK=1 asks for kernels that check every index: none made ahead, and no addresses, which it cannot see.
BOUNDSCHECK = os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")


def is_native() -> bool:
    """Whether Numba compiles for the very CPU this runs on."""
    return os.environ.get("NUMBA_CPU_NAME", "host") in ("", "host")


def _features() -> set[str]:
    """LLVM's names of what the CPU can do that Numba compiles for."""
    if not is_native():
        return {name[1:] for name in os.environ.get("NUMBA_CPU_FEATURES", "").split(",") if name.startswith("+")}
    cpus = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and sys.platform == "linux" and cpus.exists():
        with cpus.open(encoding="ascii", errors="replace") as lines:
            return {*next((line for line in lines if line.startswith("flags")), "").split()}
    from llvmlite import binding  # type: ignore[import-untyped]  # takes 50 ms

    return {name for name, present in binding.get_host_cpu_features().items() if present}


def _vector_unit() -> tuple[int, int]:
    """Bytes of a vector register and how many there are."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 16, 32
    if {"avx512f", "avx512bw", "avx512vl"} <= FEATURES:
        return 64, 32
    return (32, 16) if "avx" in FEATURES else (16, 16)


FEATURES = frozenset(_features())
LANE_BYTES, REGISTERS = _vector_unit()


def level() -> str | None:
    """The level of the x86-64 architecture that LANE_BYTES stands for; None where the CPU lacks a part of it."""
    if platform.machine() != "x86_64" or sys.platform != "linux" or not AVX2 <= FEATURES:
        return None
    if LANE_BYTES == 64:
        return "x86-64-v4" if AVX512 <= FEATURES else None
    return "x86-64-v3"
