"""Files that are damaged, made up or half written: refused with a reason, and never run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu.errors import DataError

STATE = {"w": t.tensor([[1.5, -2.0]]), 3: [t.tensor([True, False]), "é", 1.25, None], "n": (7, float("nan"))}


def as_bytes(obj):
    file = io.BytesIO()
    t.save(obj, file)
    return file.getvalue()


def load(data):
    return t.load(io.BytesIO(data))


def made_up(header, body=b""):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_no_flipped_bit_goes_unnoticed():
    data = as_bytes(STATE)
    expected = repr(load(data))
    refused = 0
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        try:
            assert repr(load(bytes(changed))) == expected, place
        except DataError:
            refused += 1
    assert refused > 0.98 * 8 * len(data)


def test_equal_objects_make_equal_files():
    assert as_bytes(STATE) == as_bytes(dict(STATE))


def test_no_cut_goes_unnoticed():
    data = as_bytes(STATE)
    for size in range(len(data)):
        with pytest.raises(DataError, match="load: the file"):
            load(data[:size])
    for more in (b"\0", b" ", b"{}"):
        with pytest.raises(DataError):
            load(data + more)


def test_bytes_that_mean_nothing():
    rng = random.Random(0)
    data = as_bytes(STATE)
    for _ in range(300):
        start, size = rng.randrange(len(data)), rng.randrange(1, 30)
        changed = data[:start] + rng.randbytes(size) + data[start + size :]
        if changed != data:
            with pytest.raises(DataError):
                load(changed)
        with pytest.raises(DataError):
            load(rng.randbytes(rng.randrange(200)))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_and_not_run(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="is a pickle"):
        load(pickle.dumps(Bomb(), protocol))
    with pytest.raises(DataError, match="is a pickle"):
        load(b"PK\x03\x04" + bytes(100))
    with pytest.raises(DataError, match="no safetensors file"):
        load(pickle.dumps(Bomb(), 0) * 20)
    assert not list(tmp_path.iterdir())


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut off"),
        (b"\x01\0\0\0", "cut off"),
        ((2**63).to_bytes(8, "little") + b"{}", "no safetensors file"),
        ((1000).to_bytes(8, "little") + b"{}", "cut off.*header alone says 1008"),
        (b"hello, this is a text file", "no safetensors file"),
        (made_up({"x": {**ENTRY, "data_offsets": [0, 80]}}, bytes(8)), "damaged or no safetensors"),
        (made_up({"x": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)), "damaged or no safetensors"),
        (made_up({"x": {**ENTRY, "shape": [3]}}, bytes(8)), "damaged or no safetensors"),
        (made_up({"x": {**ENTRY, "shape": [-2]}}, bytes(8)), "damaged or no safetensors"),
        (made_up({"x": {**ENTRY, "shape": [2**40, 2**40]}}, bytes(8)), "damaged or no safetensors"),
        (made_up({"x": ENTRY, "y": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "damaged or no safetensors"),
        (made_up({"x": {**ENTRY, "dtype": "OBJECT"}}, bytes(8)), "damaged or no safetensors"),
        (made_up({"x": {**ENTRY, "dtype": "F16", "shape": [4]}}, bytes(8)), "F16, which is not supported"),
        (made_up({"x": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\0\2"), "neither false nor true"),
        (made_up({"x": 3}), "damaged or no safetensors"),
        (made_up(b"[]      "), "no safetensors file"),
        (made_up(b'{"\xff\xfe":{}}'), "damaged or no safetensors"),
        (made_up(b'{"x":' * 5000 + b"1" + b"}" * 5000), "damaged or no safetensors"),
        (made_up({"__metadata__": {"tinygrad_edu": "null"}}), "metadata are not as save writes them"),
        (made_up({"__metadata__": {"tinygrad_edt": "tinygrad_edu 1 0 null"}}), "metadata are not as save writes them"),
        (made_up({"__metadata__": {"tinygrad_edu": "tinygrad_edu 1 0 null"}}), "checksum is wrong"),
    ],
)
def test_made_up_files(data, words):
    with pytest.raises(DataError, match=words):
        load(data)


@pytest.mark.parametrize(
    "tree",
    [
        '{"tensor":"missing"}',
        '{"tensor":["x"]}',
        '[{"tensor":"x"},{"tensor":"x"}]',
        '"nothing uses x"',
        '[{"tensor":"x"},{"dict":[[{"dict":[]},1]]}]',
        '[{"tensor":"x"},{"dict":[[1]]}]',
        '[{"tensor":"x"},{"tuple":3}]',
        '[{"tensor":"x"},{"float":"1.0"}]',
        '[{"tensor":"x"},{"float":NaN}]',
        '[{"tensor":"x"},{"code":"print()"}]',
        '[{"tensor":"x"},{}]',
        '[{"tensor":"x"},{"dtype":"object"}]',
        '[{"tensor":"x"},' + "[" * 200 + "]" * 200 + "]",
        "[" * 100_000,
        '[{"tensor":"x"},' + "9" * 5000 + "]",
        '{"parameter":"x"}',
        "not JSON",
    ],
)
def test_trees_that_save_would_not_write(tree):
    """Whoever makes up a file can make up a checksum too."""
    from safetensors.numpy import save

    from tinygrad_edu import saving

    arrays = {"x": np.array([1, 2])}
    metadata = {saving.KEY: f"{saving.MARK}{saving._checksum(tree, arrays)} {tree}"}
    with pytest.raises(DataError, match="load: the file has"):
        load(save(arrays, metadata))


def test_a_file_that_looks_like_a_pickle_is_read():
    """A header of 0x0280 bytes begins as a pickle does: 80 02."""
    for length in range(2000):
        data = as_bytes({"text": "x" * length})
        if data[:2] == b"\x80\x02":
            assert load(data) == {"text": "x" * length}
            return
    raise AssertionError("no header had that length")


KILLER = """
import os, random, signal, sys, time
sys.path.insert(0, sys.argv[2])
import tinygrad_edu as t
rng, path = random.Random(1), sys.argv[1]
t.save({"k": -1, "x": t.full((20_000,), -1.0)}, path)
seen = set()
for _ in range(20):
    child = os.fork()
    if not child:
        k = 0
        while True:
            t.save({"k": k, "x": t.full((20_000,), float(k))}, path)
            k += 1
    time.sleep(rng.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = t.load(path)
    assert (found["x"] == float(found["k"])).all().item()
    seen.add(found["k"])
assert len(seen) > 3, seen
print("whole")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_writer_leaves_a_whole_checkpoint(tmp_path):
    root = str(Path(t.__file__).parents[1])
    command = [sys.executable, "-c", KILLER, str(tmp_path / "checkpoint"), root]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert out.stdout == "whole\n", out.stderr
