"""A cell: one configuration with one seed.  Its result is one JSON file, written when all of it is there.

A cell's file is named after its label, its seed and a hash of all that decides its numbers (configuration, seed, data,
version), so cells of other settings lie beside it untouched.  Until it is finished the Trainer's checkpoint lies there
too, and a lock that the operating system frees when the process dies.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import math
import os
import platform
import re
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import numpy as np

import tinygrad_edu as torch
from tinygrad_edu.version import __version__

from .data import DataOptions

Config = dict[str, Any]
Run = Callable[[Config, int, DataOptions, Path], dict[str, Any]]

_one_at_a_time = threading.Lock()  # the default generator belongs to the process: no two cells may draw from it


@dataclass(frozen=True)
class Task:
    """All that a worker needs for one cell; plain data, so that any worker can get it."""

    script: str  # the file that defines the function
    function: str
    label: str
    config: Config
    seed: int
    data: DataOptions
    version: int
    folder: str
    command: str = ""
    commit: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the cell's numbers."""
        return {"config": self.config, "seed": self.seed, "data": self.data.key(), "version": self.version}

    @property
    def path(self) -> Path:
        """The cell's file, named after config["name"], else the label; tables that share cells give them a name."""
        digest = hashlib.sha256(_canonical(self.identity).encode()).hexdigest()[:8]
        words = re.sub(r"[^a-z0-9]+", "-", str(self.config.get("name", self.label)).lower()).strip("-") or "cell"
        return Path(self.folder) / f"{words}_seed{self.seed}_{digest}.json"

    @property
    def checkpoint(self) -> Path:
        """Where the Trainer keeps an unfinished run."""
        return self.path.with_suffix(".checkpoint")

    def __str__(self) -> str:
        return f"{self.label}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came of a task: the cell, or the traceback of its failure."""

    task: Task
    cell: dict[str, Any] | None
    error: str = ""
    computed: bool = True  # False: another process had finished it in the meantime


def source(run: Run) -> tuple[str, str]:
    """The file and the name of a function at module level, by which a worker finds it."""
    name = run.__qualname__
    if "." in name:
        raise TypeError(f"a cell's function must stand at module level, got {name!r}; move it there")
    return str(Path(inspect.getfile(run)).resolve()), name


def work(task: Task) -> Outcome:
    """Compute one cell, or read it if it is there, with one thread; what goes wrong inside it is its outcome."""
    with _one_at_a_time:
        try:
            torch.set_num_threads(1)  # cells run side by side; and the same numbers wherever they run
            return _work(task)
        except Exception:  # it goes to the caller, as text, which every worker can send
            return Outcome(task, None, traceback.format_exc())


def _work(task: Task) -> Outcome:
    path = task.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_suffix(".lock")):
        cell, _ = read_cell(task)
        if cell is not None:
            return Outcome(task, cell, computed=False)
        run = _function(task)
        resumed = task.checkpoint.exists()
        started, clock, cpu = datetime.now(timezone.utc), time.perf_counter(), time.process_time()
        result = _checked(run(dict(task.config), task.seed, task.data, task.checkpoint), task)
        targets = result.pop("targets", None)
        if targets is not None:
            result["targets"] = write_targets(Path(task.folder), targets)
        cell = {
            "label": task.label,
            **task.identity,
            **result,
            "seconds": round(time.perf_counter() - clock, 3),
            "cpu seconds": round(time.process_time() - cpu, 3),
            "resumed": resumed,
            "started": started.isoformat(timespec="seconds"),
            "command": task.command,
            "versions": versions(task.commit),
            "machine": machine(),
        }
        write_cell(path, cell)
        task.checkpoint.unlink(missing_ok=True)
        cell, reason = read_cell(task)
        if cell is None:
            raise RuntimeError(f"{path} was written and cannot be read back: {reason}")
        return Outcome(task, cell)


def _function(task: Task) -> Run:
    """The cell's function, from its file; imported once per process under the file's name."""
    path = Path(task.script)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = sys.modules.get(path.stem)
    if module is None or Path(getattr(module, "__file__", None) or "").resolve() != path:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot import {path}; on a cluster every worker needs the same folders")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    run: Run = getattr(module, task.function)
    return run


def _checked(result: Any, task: Task) -> dict[str, Any]:
    """The result of a cell's function, as a copy; TypeError if what the tables need is missing."""
    if not isinstance(result, dict) or not isinstance(result.get("metrics"), Mapping) or not result["metrics"]:
        raise TypeError(
            f"{task.function} of {task.script} must return a dict with 'metrics', a mapping of names to numbers, and "
            "may add 'history', 'predictions', 'targets', 'parameters'"
        )
    result = dict(result)
    result["metrics"] = {name: float(value) for name, value in result["metrics"].items()}
    if "history" in result:
        result["history"] = {name: [float(v) for v in values] for name, values in result["history"].items()}
    for name in ("predictions", "targets"):
        if name in result:
            result[name] = digits(result[name])
    if ("predictions" in result) != ("targets" in result):
        raise TypeError(f"{task.function} of {task.script} must return 'predictions' and 'targets' both, or neither")
    if "targets" in result and len(result["targets"]) != len(result["predictions"]):
        raise TypeError(f"{task.label}: {len(result['predictions'])} predictions for {len(result['targets'])} targets")
    return result


def digits(classes: Any) -> str:
    """Classes 0 to 9 as one string of digits, a character per sample."""
    if isinstance(classes, str):
        return classes
    numbers = np.asarray(classes.numpy() if hasattr(classes, "numpy") else classes)
    if numbers.ndim != 1 or (numbers.size and not 0 <= numbers.min() <= numbers.max() <= 9):
        raise ValueError(f"digits: classes must be (n,) with values 0 to 9, got shape {numbers.shape}")
    return "".join(map(str, numbers.tolist()))


def read_cell(task: Task) -> tuple[dict[str, Any] | None, str]:
    """The finished cell, or None and why there is none: "" when it was never made, else what is wrong with the file."""
    try:
        text = task.path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None, ""
    except (OSError, UnicodeDecodeError) as error:
        return None, f"cannot be read ({error})"
    try:
        cell = json.loads(text)
    except ValueError:
        return None, "is no JSON: cut off or damaged"
    if not isinstance(cell, dict) or cell.pop("sha256", None) != _sha256(cell):
        return None, "does not have the checksum that it was written with: damaged or edited"
    differing = [key for key, value in task.identity.items() if cell.get(key) != json.loads(_canonical(value))]
    if differing:
        return None, f"is of another {', '.join(differing)}"
    for name, values in cell.get("history", {}).items():
        cell["history"][name] = [math.nan if v is None else v for v in values]
    cell["metrics"] = {name: math.nan if v is None else v for name, v in cell["metrics"].items()}
    return cell, ""


def write_cell(path: Path, cell: Mapping[str, Any]) -> None:
    """Write a cell's JSON whole or not at all, a line per entry; NaN and Inf as null."""
    plain = _finite(cell)
    lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False, allow_nan=False)}" for k, v in plain.items()]
    lines.append(f'"sha256": "{_sha256(plain)}"')
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def write_text(path: Path, text: str) -> None:
    """A text file, under its name only when all of it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_targets(folder: Path, targets: str) -> str:
    """Keep the labels of a test set once per folder, and return the name they have there."""
    name = hashlib.sha256(targets.encode()).hexdigest()[:8]
    path = folder / f"targets_{name}.txt"
    if not path.exists():
        write_text(path, targets + "\n")
    return name


def read_targets(folder: Path, name: str) -> str:
    """The labels of a test set; ValueError when the file was changed."""
    path = folder / f"targets_{name}.txt"
    targets = path.read_text(encoding="utf-8").strip()
    if hashlib.sha256(targets.encode()).hexdigest()[:8] != name:
        raise ValueError(f"{path} was changed after it was written; delete it and the cells beside it")
    return targets


def versions(commit: str | None) -> dict[str, str | None]:
    """What computed a cell."""
    import numba

    numbers = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
    return {**numbers, "tinygrad_edu": __version__, "commit": commit}


def machine() -> dict[str, Any]:
    """Where a cell was computed: the processor, its cores, the system."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        model = model or "unknown"  # no Linux: what platform says
    return {"cpu": model, "cores": os.cpu_count(), "threads per cell": torch.get_num_threads(), "system": sys.platform}


def _finite(value: Any) -> Any:
    """Plain JSON data: NaN and Inf become None, tuples lists, NumPy numbers Python's."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _canonical(value: Any) -> str:
    return json.dumps(_finite(value), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _sha256(cell: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(cell).encode()).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file; waits while another process has it.  It is removed at the end, and free when we are killed."""
    while True:
        file = open(path, "a+b")  # noqa: SIM115 (held over the yield)
        try:
            _lock(file)
            # whoever had the lock has removed the file: then this is a lock on nothing, and a new one is needed
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                try:
                    yield
                finally:
                    if sys.platform != "win32":  # which removes no open file: there it stays, empty
                        path.unlink(missing_ok=True)
                return
        finally:
            file.close()


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
