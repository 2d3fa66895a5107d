"""The IDX format of MNIST: a magic number, the dims, then the bytes; each checked before it is believed.

    byte 0, 1   0
    byte 2      element type; 0x08 is uint8, the only one these data sets use
    byte 3      number of dims d
    4 d bytes   the dims, big-endian uint32
    then        exactly Π dims bytes
Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database, "File formats".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from tinygrad_edu.datasets.images import Pixels
from tinygrad_edu.errors import DataError

_UINT8 = 0x08
_LARGEST = 2**31  # bytes; a header that promises more is not one of ours


def read_idx(path: Path, ndim: int) -> Pixels:
    """A file of unsigned bytes with `ndim` dims, gzipped if its name ends in .gz -> a writable uint8 array.

    Raises DataError that says what was expected, what was found and what to do.
    """
    try:
        if path.stat().st_size == 0:
            raise _corrupt(path, "the file is empty")
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, ndim)  # type: ignore[arg-type]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _corrupt(path, f"it is no complete gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}; check the file and the folder's permissions") from error


def _parse(file: IO[bytes], path: Path, ndim: int) -> Pixels:
    header = file.read(4)
    if len(header) < 4:
        raise _corrupt(path, f"expected a header of 4 bytes, found {len(header)}")
    expected = bytes([0, 0, _UINT8, ndim])
    if header != expected:
        raise _corrupt(
            path, f"expected the magic number 0x{expected.hex()} (uint8, {ndim} dims), found 0x{header.hex()}"
        )
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise _corrupt(path, f"expected {ndim} dims in {4 * ndim} bytes, found {len(sizes)} bytes")
    dims = struct.unpack(f">{ndim}I", sizes)
    total = math.prod(dims)
    if not 0 < total < _LARGEST:
        raise _corrupt(path, f"expected some samples, found the dims {dims}")
    array = np.empty(total, np.uint8)
    filled = 0
    while filled < total:
        block = file.read(min(total - filled, 1 << 22))
        if not block:
            raise _corrupt(path, f"expected {total:,} bytes for the dims {dims}, found {filled:,}: it is truncated")
        array[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
        filled += len(block)
    if file.read(1):  # also lets gzip reach the end and compare its own checksum
        raise _corrupt(path, f"expected {total:,} bytes for the dims {dims}, found more")
    return array.reshape(dims)


def _corrupt(path: Path, finding: str) -> DataError:
    return DataError(
        f"{path} is corrupt: {finding}. Delete the file and use download=True, or copy it again from where you got it"
    )
