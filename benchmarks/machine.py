"""Where the numbers were measured, and whether something else was using the processors meanwhile."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import time
from collections.abc import Iterable
from pathlib import Path

BUSY = 0.15  # cores that others may use before a row is marked
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def describe() -> dict[str, str | int | None]:
    """The processor, its cores, the system, Python, the date and time."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "date": now.date().isoformat(),
        "time": now.strftime("%H:%M UTC"),
    }


def _busy_seconds() -> float | None:
    """CPU seconds that all processes of the machine have used, and that its host took away; None where unknown."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def _seconds_of(pid: int) -> float:
    """CPU seconds of a living process; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


class Watch:
    """How many cores other processes use, from one look to the next."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.last = self._look()

    def follow(self, pids: Iterable[int]) -> None:
        """Count these processes, started by this one and not yet waited for, as ours from now on."""
        self.pids = list(pids)
        self.last = self._look()

    def others(self) -> float | None:
        """Cores used by others since the last call; None where the system does not say."""
        before, now = self.last, self._look()
        self.last = now
        if now[1] is None or before[1] is None:
            return None
        wall = now[0] - before[0]
        return round(max(0.0, (now[1] - before[1]) - (now[2] - before[2])) / wall, 3)

    def _look(self) -> tuple[float, float | None, float]:
        """The time, everybody's CPU seconds, ours."""
        mine = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            mine += usage.ru_utime + usage.ru_stime
        return time.perf_counter(), _busy_seconds(), mine + sum(map(_seconds_of, self.pids))


def others_now(seconds: float = 0.5) -> float | None:
    """Cores that other processes use while this one sleeps."""
    watch = Watch()
    time.sleep(seconds)
    return watch.others()
