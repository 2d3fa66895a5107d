"""One side of the benchmark: runs the case it is asked for on stdin and answers with the seconds of each run."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def build(torch: Any, case: str) -> Callable[[], None]:
    """A function that runs the case once; the same code for both modules."""
    nn, optim = torch.nn, torch.optim
    functional = importlib.import_module(f"{torch.__name__}.nn.functional")
    rng = np.random.default_rng(0)
    if case == "chain":
        start = torch.tensor(1.0, requires_grad=True)

        def chain() -> None:
            x = start
            for _ in range(1000):
                x = x * 1.0001 + 0.001
            x.backward()

        return chain
    if case == "mlp":
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        x, n = rng.standard_normal((128, 784)), 128
    elif case == "lenet":
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        x, n = rng.standard_normal((128, 1, 28, 28)), 128
    else:
        model = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4096, 10),
        )  # fmt: skip
        x, n = rng.standard_normal((64, 3, 32, 32)), 64
    images = torch.tensor(x.astype(np.float32))
    labels = torch.tensor(rng.integers(0, 10, n))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Answer requests until stdin closes."""
    torch = importlib.import_module(sys.argv[1])
    if torch.__name__ == "torch":
        torch.set_num_threads(2)
    cases: dict[str, Callable[[], None]] = {}
    for line in sys.stdin:
        case, repeats = json.loads(line)
        run = cases.setdefault(case, cases.get(case) or build(torch, case))
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
