"""Make the store of compiled kernels: `make kernels`, or python -m tinygrad_edu.kernels.compiled.build

For each level of x86-64, a new process compiles each kernel for any CPU of that level, not for this one, and a C
compiler links them to a shared library, which needs nothing but memcpy and memset. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import store
from .convolution_plan import CORRELATE_TILES, WEIGH_TILES
from .native import Constants

# "-prefer-256-bit": the vectors that the CPUs of today do best with; else LLVM would avoid those of 512 bits
FEATURES = {
    "x86-64-v3": "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe",
    "x86-64-v4": "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,"
    "+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,-prefer-256-bit",
}
ALLOWED = {"memcpy", "memmove", "memset"}  # what a kernel may call; any libc has them
PLAIN = (
    "elementwise.relu", "elementwise.relu_gate", "reductions.sum_rows", "reductions.sum_columns",
    "pooling.max_pool", "pooling.max_pool_backward",
    "logits.softmax", "logits.softmax_backward", "logits.log_softmax", "logits.log_softmax_backward",
    "logits.cross_entropy", "logits.cross_entropy_backward",
    "optimizers.sgd", "optimizers.adam", "optimizers.rmsprop", "optimizers.adagrad",
)  # fmt: skip

ENTER = """
define void @enter(ptr %words) {
  %function = load ptr, ptr %words
  %args_at = getelementptr i64, ptr %words, i64 1
  %args = load i64, ptr %args_at
  %number_at = getelementptr i64, ptr %words, i64 2
  %number_of = load ptr, ptr %number_at
  %count_at = getelementptr i64, ptr %words, i64 3
  %count_of = load ptr, ptr %count_at
  %number = call i32 %number_of()
  %count = call i32 %count_of()
  %thread = sext i32 %number to i64
  %threads = sext i32 %count to i64
  call void %function(i64 %args, i64 %thread, i64 %threads, i64 0, i64 0, i64 0)
  ret void
}
"""

# An array at an address owns nothing, so what Numba would call at its end never is; a root is one instruction.
KERNEL = """
declare float @llvm.sqrt.f32(float)
declare double @llvm.sqrt.f64(double)
define float @sqrtf(float %x) {{
  %root = call float @llvm.sqrt.f32(float %x)
  ret float %root
}}
define double @sqrt(double %x) {{
  %root = call double @llvm.sqrt.f64(double %x)
  ret double %root
}}
define void @NRT_MemInfo_call_dtor(ptr %memory) {{
  ret void
}}
declare i32 @"{inner}"(ptr, ptr, i64, i64, i64, i64, i64, i64)
define void @{name}(i64 %args, i64 %thread, i64 %threads, i64 %itemsize, i64 %height, i64 %width) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @"{inner}"(
    ptr %result, ptr %error, i64 %args, i64 %thread, i64 %threads, i64 %itemsize, i64 %height, i64 %width)
  ret void
}}
"""


def entries() -> list[tuple[str, Constants]]:
    """Each kernel and the constants that this level's networks use, in float32 and float64."""
    from .products import TILE

    sizes = (4, 8)
    found: list[tuple[str, Constants]] = [(kernel, (size, 0, 0)) for kernel in PLAIN for size in sizes]
    found += [("products.multiply_panels", (size, TILE[0], width)) for size in sizes for width in (1, TILE[1])]
    found += [("convolution.weigh_images", (size, *tile)) for size in sizes for tile in WEIGH_TILES]
    found += [("convolution.correlate_images", (size, *tile)) for size in sizes for tile in CORRELATE_TILES]
    return found


def object_code(level: str, kernel: str, constants: Constants) -> bytes:
    """A kernel for any CPU of a level, to be linked. Raises RuntimeError for one that might raise an error."""
    import numba
    from llvmlite import binding  # type: ignore[import-untyped]

    from .fresh import signature, source

    compiler: Any = numba
    compiled = compiler.cfunc(signature(constants), error_model="numpy")(source(kernel))
    inner = compiled._wrapper_name.removeprefix("cfunc.")
    name = store.symbol(kernel, constants)
    module = binding.parse_assembly(compiled._library.get_llvm_str())
    module.link_in(binding.parse_assembly(KERNEL.format(inner=inner, name=name)))
    return _emit(level, module, name)


def _emit(level: str, module: Any, name: str) -> bytes:
    from llvmlite import binding

    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name != name:
            value.linkage = "internal"
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(cpu=level, features=FEATURES[level], opt=3, reloc="pic", codemodel="small")
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, binding.create_pass_builder(machine, binding.create_pipeline_tuning_options()))
    names = {value.name for value in [*module.functions, *module.global_variables]}
    called = {value.name for value in module.functions if value.is_declaration and not value.name.startswith("llvm.")}
    if called - ALLOWED or any("pickle" in known for known in names):
        raise RuntimeError(f"{name}: it calls {sorted(called - ALLOWED)}, or might raise an error")
    code: bytes = machine.emit_object(module)
    return code


def make_library(level: str, path: Path) -> None:
    """The library of one level, in a process that Numba was told to compile for it."""
    from llvmlite import binding

    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for kernel, constants in entries():
            objects.append(Path(folder, store.symbol(kernel, constants) + ".o"))
            objects[-1].write_bytes(object_code(level, kernel, constants))
        objects.append(Path(folder, "enter.o"))
        objects[-1].write_bytes(_emit(level, binding.parse_assembly(ENTER), "enter"))
        subprocess.run(
            [
                "cc", "-shared", "-nostdlib", "-Wl,--build-id=none,-z,relro,-z,now,-z,noexecstack,--strip-all",
                "-o", str(path), *map(str, objects),
            ],
            check=True,
        )  # fmt: skip


def main() -> None:
    """Make all libraries and the index."""
    if len(sys.argv) == 3:
        make_library(sys.argv[1], Path(sys.argv[2]))
        return
    store.FOLDER.mkdir(exist_ok=True)
    index: dict[str, Any] = {"sources": store.hash_of_sources(), "libraries": {}}
    for level, features in FEATURES.items():
        path = store.FOLDER / f"{level}.so"
        with tempfile.TemporaryDirectory() as cache:
            told = {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": cache}
            subprocess.run(
                [sys.executable, "-m", f"{__package__}.build", level, str(path)], check=True, env={**os.environ, **told}
            )
        index["libraries"][level] = store.hash_of(path)
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    store.INDEX.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
