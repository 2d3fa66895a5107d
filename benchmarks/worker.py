"""One side of the benchmark: answers requests on stdin, a line of JSON each, until stdin closes.

["time", case, repeats] -> seconds of each run          ["memory"] -> peak resident memory so far, in bytes
["peak", seconds] -> the fastest matrix product of this process, in FLOP/s
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import build


def peak(seconds: float) -> float:
    """FLOP/s of the best of many float32 matrix products of 1024: a measured bound on the machine's FMA rate."""
    a = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 1024**3 / best


def main() -> None:
    """Serve one module, named on the command line."""
    torch = importlib.import_module(sys.argv[1])
    if torch.__name__ == "torch":
        torch.set_num_threads(2)
    cases: dict[str, Callable[[], None]] = {}
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        answer: Any
        if verb == "time":
            case, repeats = arguments
            if case not in cases:
                cases[case] = build(torch, case)
            answer = []
            for _ in range(repeats):
                start = time.perf_counter()
                cases[case]()
                answer.append(time.perf_counter() - start)
        elif verb == "memory":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        else:
            answer = peak(*arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
