"""The options that every command of the coursework has, checked as they are read."""

from __future__ import annotations

import argparse
import os
import re

from .data import SETS

DEFAULT_OUT = "out/coursework"


def parser(description: str, epochs: bool = True, steps: bool = False) -> argparse.ArgumentParser:
    """The parser of a command; a script may add options of its own."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seeds", type=seeds, default=[0, 1, 2], help="a count, or a list: 3, or 0,1,2 (default: 3)")
    made.add_argument("--jobs", type=positive_integer, default=cores(), help="cells side by side (default: all cores)")
    made.add_argument(
        "--dask",
        type=dask,
        metavar="WHERE",
        help="a Dask cluster: a scheduler's address, local, or local:WORKERS",
    )
    made.add_argument("--data", choices=["auto", *SETS], default="auto", help="auto: the report's, else Digits")
    made.add_argument("--root", help="folder of the data sets (default: $TINYGRAD_EDU_DATA or the user cache)")
    if epochs:
        made.add_argument("--epochs", type=positive_integer, help="instead of the experiment's own number")
    if steps:
        made.add_argument("--steps", type=positive_integer, help="instead of the experiment's own number")
    made.add_argument("--quick", action="store_true", help="a tiny run on Digits, to see that all works")
    made.add_argument("--out", default=None, help=f"folder for all results (default: {DEFAULT_OUT}; quick: its quick/)")
    made.add_argument("--table-only", action="store_true", help="compute nothing; redo table and figure")
    made.add_argument("--only", metavar="WORD", help="compute only the cells whose label contains WORD")
    return made


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def positive_integer(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def seeds(text: str) -> list[int]:
    """Seeds for argparse: "3" is 0, 1, 2; "7," is 7 alone; "0,5" is 0 and 5."""
    if "," not in text:
        return list(range(positive_integer(text)))
    words = [word for word in text.split(",") if word]
    if not words or not all(word.isdecimal() for word in words) or len(set(map(int, words))) < len(words):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different whole numbers, such as 0,1,2")
    return [int(word) for word in words]


def dask(text: str) -> str:
    """Where the Dask cluster is, for argparse."""
    if not re.fullmatch(r"local(:[1-9][0-9]*)?|([a-z]+://)?[^\s:/]+:[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address (tcp://host:8786), nor local or local:WORKERS")
    return text
