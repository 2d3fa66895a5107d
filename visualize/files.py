"""Files that are either the old version or the whole new one, never a half."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def output_path(path: str | os.PathLike[str], suffixes: tuple[str, ...], caller: str) -> Path:
    """The path, checked before any work: its suffix is one of `suffixes`, its folder exists and takes a file.

    Errors: ValueError for another suffix, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise ValueError(f"{caller}: {str(target)!r} ends in {target.suffix!r}; choose one of {', '.join(suffixes)}")
    folder = target.parent
    if not folder.exists():
        raise FileNotFoundError(
            f"{caller}: the folder of {str(target)!r} does not exist; create it first: mkdir -p '{folder}'"
        )
    if not folder.is_dir():
        raise NotADirectoryError(f"{caller}: cannot write {str(target)!r}: {str(folder)!r} is a file, not a folder")
    if target.is_dir():
        raise IsADirectoryError(f"{caller}: {str(target)!r} is a folder; name a file in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{caller}: may not write into {str(folder)!r} (for {str(target)!r}); choose another folder"
        )
    return target


def write_atomically(target: Path, write: Callable[[Path], object]) -> Path:
    """Call `write` with a temporary path beside `target`, then put that file in place in one step.

    If `write` fails, the temporary file is removed and an older `target` stays as it was.
    Errors: OSError of the kind that occurred, naming `target` and not the temporary file, which nobody asked for.
    """
    try:
        _write_beside(target, write)
    except OSError as error:
        named = type(error)(f"cannot write {str(target)!r}: {error.strerror or error}; choose another folder")
        named.errno = error.errno
        raise named from error
    return target


def _write_beside(target: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}.", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes private files; a picture gets the rights an ordinary new file has.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
