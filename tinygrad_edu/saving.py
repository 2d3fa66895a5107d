"""`save` and `load`: checkpoints as safetensors files, which hold numbers and text and can run nothing.

    save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, "checkpoint.safetensors")
    checkpoint = load("checkpoint.safetensors")

The file is written by https://github.com/huggingface/safetensors: every tensor under its path ("model.0.weight"), so
that any program that reads safetensors reads them, and, in the file's metadata, a SHA-256 over all that follows, so
that a changed bit is noticed, and the tree that the tensors hang in, as JSON (storing.py).  Equal objects make equal
files, and a file appears under its name only when it is complete on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.device import device
from tinygrad_edu.errors import DataError
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.storing import Packed, pack, unpack

__all__ = ["load", "save"]

KEY = "tinygrad_edu"
MARK = "tinygrad_edu 1 "  # begins the text under KEY: a lost bit in one leaves the other to know the file by
DTYPES = {"BOOL": "bool", "U8": "uint8", "I32": "int32", "I64": "int64", "F32": "float32", "F64": "float64"}

Target = str | os.PathLike[str] | IO[bytes]


def save(obj: Any, f: Target) -> None:
    """Write tensors, numbers, text, None, and dicts, lists and tuples of them to a file.

    obj: a state_dict, a checkpoint dict, a tensor.  f: a path, whose file is replaced at once when all is written, or a
    binary file.  Types come back as they were, also those of dict keys, but for subclasses: an OrderedDict comes back
    as a dict, a Parameter as a Tensor, a NumPy number as a Python number.
    Raises TypeError, naming the place, for anything else, such as a module: save its state_dict().
    """
    data = _encoded(pack(obj))
    if isinstance(f, (str, os.PathLike)):
        _write(os.fspath(f), data)
    elif hasattr(f, "write"):
        f.write(data)
    else:
        raise TypeError(f"save: f must be a path or a binary file, got {type(f).__name__}")


def load(f: Target, map_location: Any = None, *, weights_only: bool | None = None) -> Any:
    """Read what `save` wrote, or the tensors of any other safetensors file as a dict.

    map_location: None, "cpu", or a dict of devices to "cpu".  weights_only: True, False and None mean the same, for
    there is nothing else in a file.
    Raises DataError for a file that is cut off, changed, or none of ours, such as a pickle, of which nothing is run.
    """
    _check_location(map_location)
    if weights_only not in (None, True, False):
        raise TypeError(f"load: weights_only must be a bool, got {type(weights_only).__name__}")
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _decoded(file.read(), repr(os.fspath(f)))
    if not hasattr(f, "read"):
        raise TypeError(f"load: f must be a path or a binary file, got {type(f).__name__}")
    data = f.read()
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError("load: the file must be opened in binary mode, open(path, 'rb')")
    return _decoded(bytes(data), "the file")


def _check_location(map_location: Any) -> None:
    if callable(map_location):
        raise NotImplementedError("load: a function as map_location is not supported; there is only the CPU: 'cpu'")
    targets = map_location.values() if isinstance(map_location, Mapping) else [map_location]
    for target in targets:
        if target is not None and not isinstance(target, device):
            device(target)


# -- bytes ------------------------------------------------------------------------------------------------------------


def _checksum(tree: str, arrays: Mapping[str, Array]) -> str:
    """SHA-256 over the tree and, by name, each tensor's name, dtype, shape and entries; a length before each text."""
    digest = hashlib.sha256()
    for text in [tree, str(len(arrays))]:
        digest.update(f"{len(text)}:{text}".encode())
    for name in sorted(arrays):
        array = arrays[name]
        described = f"{name} {array.dtype.name} {array.shape}"
        digest.update(f"{len(described)}:{described}".encode())
        if array.size:
            digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _encoded(packed: Packed) -> bytes:
    from safetensors.numpy import save as serialized

    tree = json.dumps(packed.tree, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return serialized(packed.arrays, {KEY: f"{MARK}{_checksum(tree, packed.arrays)} {tree}"})


def _decoded(data: bytes, name: str) -> Any:
    from safetensors import SafetensorError, deserialize

    size = _header_size(data, name)
    try:
        found: list[tuple[str, dict[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call]
        header = json.loads(data[8 : 8 + size])  # deserialize has checked it; only the metadata are read from here
    except (SafetensorError, ValueError, RecursionError) as error:
        raise DataError(f"load: {name} is damaged or no safetensors file: {error}") from None
    arrays = {key: _array(key, entry, name) for key, entry in found}
    metadata = header.get("__metadata__", {})
    if not any(key == KEY or text.startswith(MARK) for key, text in metadata.items()):
        return {key: wrap(array) for key, array in arrays.items()}  # written by another program
    if list(metadata) != [KEY] or not metadata[KEY].startswith(MARK):
        raise DataError(f"load: {name} is damaged: its metadata are not as save writes them")
    checksum, _, tree = metadata[KEY][len(MARK) :].partition(" ")
    if _checksum(tree, arrays) != checksum:
        raise DataError(f"load: {name} is damaged: its checksum is wrong, so something in it was changed; use a copy")
    return unpack(tree, arrays, name)


def _header_size(data: bytes, name: str) -> int:
    """The size of the header, which stands first; DataError with a reason if this cannot be a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    if len(data) > 8 and data[8:9] == b"{" and 8 + size <= len(data):
        return size
    if data[:4] == b"PK\x03\x04" or (data[:1] == b"\x80" and data[1:2] <= b"\x05" and data[2:8] != bytes(6)):
        raise DataError(
            f"load: {name} is a pickle, as torch.save writes it. Loading one can run any program, so it is never done "
            f"here; in PyTorch, write the tensors with safetensors.torch.save_file(torch.load(...), 'x.safetensors')"
        )
    if len(data) < 8 or (len(data) == 8 and size) or (data[8:9] == b"{" and size < 1 << 32):
        raise DataError(f"load: {name} is cut off: it has {len(data)} bytes and its header alone says {8 + size}")
    raise DataError(f"load: {name} is no safetensors file: it does not begin with the length of a header and a {{")


def _array(key: str, entry: Mapping[str, Any], name: str) -> Array:
    kind = DTYPES.get(entry["dtype"])
    if kind is None:
        raise DataError(
            f"load: tensor {key!r} in {name} has dtype {entry['dtype']}, which is not supported; convert it to one of "
            f"{', '.join(DTYPES)} where it was written"
        )
    array = np.frombuffer(entry["data"], dtypes.of(kind).dtype)
    if kind == "bool" and (array.view(np.uint8) > 1).any():
        raise DataError(f"load: {name} is damaged: tensor {key!r} has entries that are neither false nor true")
    return array.reshape(entry["shape"])


# -- files ------------------------------------------------------------------------------------------------------------


def _write(path: str, data: bytes) -> None:
    """Replace the file by one with `data`, so that at any moment its name leads to the old or the new one, whole."""
    path = os.path.realpath(path)  # the file behind a link is replaced, not the link
    before = os.stat(path) if os.path.exists(path) else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(path, "wb") as file:  # a pipe or a device; a folder is an error
            file.write(data)
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if before is not None:
                os.chmod(temporary, stat.S_IMODE(before.st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
    if os.name == "posix":  # the new name has to reach the disk too
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
