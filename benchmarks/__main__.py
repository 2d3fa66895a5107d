"""Times the engine against PyTorch, where it is installed: medians of interleaved runs.        python -m benchmarks

Each side runs in a process of its own, in turn, so that their thread pools do not disturb each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
CASES = {
    "chain": "2,000 scalar operations, forward and backward",
    "mlp": "training step, MLP 784-256-128-10, batch 128",
    "lenet": "training step, LeNet-5 with ReLU and max-pool, batch 128",
    "cnn": "training step, conv-BN-ReLU-pool x2, 64x3x32x32",
}


def start(module: str) -> subprocess.Popen[str]:
    """A worker process that runs one block for every line it is sent."""
    return subprocess.Popen(
        [sys.executable, str(WORKER), module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def block(worker: subprocess.Popen[str], case: str, repeats: int) -> list[float]:
    """Seconds of each of `repeats` runs of a case in a worker."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(json.dumps([case, repeats]) + "\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"the {worker.args} worker stopped during {case}")
    return [float(t) for t in json.loads(line)]


def main() -> None:
    """Print a row per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="alternating blocks per side")
    parser.add_argument("--repeats", type=int, default=5, help="runs in a block")
    options = parser.parse_args()
    sides = ["tinygrad_edu"]
    probe = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False)
    if probe.returncode == 0:
        sides.append("torch")
    else:
        print("PyTorch is not installed, so there is nothing to compare with; our own times:")
    workers = {side: start(side) for side in sides}
    try:
        for case, what in CASES.items():
            times: dict[str, list[float]] = {side: [] for side in sides}
            for side in sides:
                block(workers[side], case, options.repeats)  # compile and warm up
            for _ in range(options.rounds):
                for side in sides:
                    times[side] += block(workers[side], case, options.repeats)
            ours = statistics.median(times["tinygrad_edu"])
            row = f"{what:<60} {ours * 1e3:8.2f} ms"
            if "torch" in times:
                theirs = statistics.median(times["torch"])
                row += f"   torch {theirs * 1e3:8.2f} ms   ratio {ours / theirs:5.2f}"
            print(row, flush=True)
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait()


if __name__ == "__main__":
    main()
