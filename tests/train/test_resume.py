"""A run that is killed and resumed is the run that was never touched, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train_cases import CASES, Killed, everything, run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _restored_globals(monkeypatch):
    """The runs seed NumPy's and Python's global generators."""
    import random

    states = random.getstate(), np.random.get_state()
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power is cut here
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])


@pytest.mark.parametrize("name", CASES)
def test_killed_and_resumed_equals_untouched(name, tmp_path):
    case = CASES[name]
    trainer, events = run(case, tmp_path / "whole.safetensors")
    whole = everything(trainer)
    rng = np.random.default_rng(len(name))
    moments = sorted({0, events - 1, *rng.integers(0, events, 6).tolist()})
    for at in moments:
        path = tmp_path / f"{at}.safetensors"
        with pytest.raises(Killed):
            run(case, path, at)
        trainer, _ = run(case, path)
        assert everything(trainer) == whole, f"killed at event {at} of {events}"


@pytest.mark.parametrize(
    ("case", "stride"),
    [
        (CASES["early"] | {"counting": True, "noise": "default", "fit": {"epochs": 2}}, 3),
        ({"scheduler": "exponential", "trainer": {"checkpoint_every": 1}, "fit": {"epochs": 2}}, 1),
    ],
)
def test_killed_at_every_event(case, stride, tmp_path):
    trainer, events = run(case, tmp_path / "whole.safetensors")
    whole = everything(trainer)
    for at in range(0, events, stride):
        path = tmp_path / f"{at}.safetensors"
        with pytest.raises(Killed):
            run(case, path, at)
        assert everything(run(case, path)[0]) == whole, f"killed at event {at} of {events}"


def test_killed_again_and_again(tmp_path):
    case = CASES["counting"]
    whole = everything(run(case, tmp_path / "whole.safetensors")[0])
    path, kills = tmp_path / "often.safetensors", 0
    while True:
        try:
            trainer, _ = run(case, path, at=12)  # events of this process alone
        except Killed:
            kills += 1
            assert kills < 20, "no progress"
        else:
            break
    assert kills > 2
    assert everything(trainer) == whole


def test_a_checkpoint_changes_nothing(tmp_path):
    without = everything(run(CASES["plain"], None)[0])
    assert everything(run(CASES["plain"], tmp_path / "c.safetensors")[0]) == without


def test_resuming_what_is_finished_returns_at_once(tmp_path):
    for name in ("plain", "early"):
        path = tmp_path / f"{name}.safetensors"
        whole = everything(run(CASES[name], path)[0])
        written = path.read_bytes()
        trainer, events = run(CASES[name], path)
        assert events == 0
        assert everything(trainer) == whole
        assert path.read_bytes() == written


def test_more_epochs_go_on_where_the_first_ended(tmp_path):
    longer = {**CASES["counting"], "fit": {"epochs": 5}}
    whole = run(longer, tmp_path / "whole.safetensors")[0]
    path = tmp_path / "c.safetensors"
    run(CASES["counting"], path)
    trainer, _ = run(longer, path)
    assert trainer.epoch == 5
    assert dict(trainer.history) == dict(whole.history)


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from train_cases import CASES, everything, run
from tinygrad_edu.train import Callback
import train_cases, hashlib

class Bomb(train_cases.Bomb):
    def tick(self):
        super().tick()
        print("event", flush=True)

Bomb.__name__ = "Bomb"
train_cases.Bomb = Bomb
case = CASES["counting"] | {{"noise": "default", "generator": True, "trainer": {{"checkpoint_every": 3}}}}
trainer, _ = run(case, sys.argv[1])
print("done", hashlib.sha256(repr(everything(trainer)).encode()).hexdigest(), flush=True)
"""


def _started(path: Path) -> subprocess.Popen[str]:
    code = SCRIPT.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-W", "error", "-c", code, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_processes_killed_by_the_system(tmp_path):
    """kill -9 while the process runs on, so that it hits between any two instructions."""
    out, errors = _started(tmp_path / "whole.safetensors").communicate()
    assert "done" in out, errors
    expected = out.splitlines()[-1]
    rng = np.random.default_rng()  # another moment each time the tests run
    path = tmp_path / "killed.safetensors"
    lives = [int(k) for k in rng.integers(1, 260, 3)]
    for life in lives:
        process = _started(path)
        assert process.stdout is not None
        for _ in range(life):
            if not process.stdout.readline().startswith("event"):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
    out, errors = _started(path).communicate()
    assert "done" in out, errors
    assert out.splitlines()[-1] == expected, f"killed after {lives} events"
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []
