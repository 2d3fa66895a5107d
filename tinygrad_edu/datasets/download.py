"""Files from the net, through pooch: mirrors in turn, checksum verified, nothing half-written left behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinygrad_edu.errors import DataError

TIMEOUT = 30  # seconds without an answer before the next mirror


def fetch(name: str, md5: str, mirrors: Sequence[str], folder: Path, owner: str) -> Path:
    """Download `mirror + name` into `folder` from the first mirror whose file has the checksum.

    pooch writes to a temporary file and renames it once the checksum is right.
    Raises DataError with every mirror's answer when none has it, ImportError when pooch is not installed.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(f"{owner}: download=True needs pooch: pip install pooch") from error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{owner}: cannot make the folder {folder}: {error}; choose another root") from error
    answers = []
    for mirror in mirrors:
        try:
            pooch.retrieve(
                f"{mirror}{name}",
                known_hash=f"md5:{md5}",
                fname=name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
            )
        # requests' errors are OSErrors (no net, 404, connection cut); pooch raises ValueError for a wrong checksum.
        except (OSError, ValueError) as error:
            answers.append(f"{mirror}{name}: {error}")
        else:
            return folder / name
    raise DataError(
        f"{owner}: cannot download {name} to {folder}. Tried:\n  "
        + "\n  ".join(answers)
        + f"\nCheck the connection and try again, or get the file elsewhere (md5 {md5}) and put it into {folder}"
    )
