"""Report 004: three, five and seven conv layers under plain SGD, with and without BatchNorm.

    python demos/coursework/report004_depth.py

MNIST (55,000 / 5,000 / 10,000), batch 110, pixels in [0, 1], lr 0.001, no momentum, one epoch; conv_nets.py has
the nets.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import conv_nets
from conv_nets import label
from running import Experiment, main

DEPTHS = (3, 5, 7)
REPORTED = {
    ("3 layers", False): 0.6318,
    ("5 layers", False): 0.7809,
    ("7 layers", False): 0.6065,
    ("3 layers", True): 0.8357,
    ("5 layers", True): 0.8628,
    ("7 layers", True): 0.8069,
}


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The six configurations of the table."""
    return {label(what, norm): conv_nets.config(options, norm, depth=int(what.split()[0])) for what, norm in REPORTED}


PAIRS = [(label(f"{d} layers", False), label(f"{d} layers", True)) for d in DEPTHS]
PAIRS += [
    (label(f"{a} layers", norm), label(f"{b} layers", norm))
    for norm in (False, True)
    for a, b in ((3, 5), (5, 7), (3, 7))
]
EXPERIMENT = Experiment(
    name="report004_depth",
    about=__doc__,
    run=conv_nets.run,
    configs=configs,
    family=conv_nets.FAMILY,
    remarks=conv_nets.remarks,
    title="Depth on MNIST: conv layers under SGD, with and without BatchNorm",
    reported=conv_nets.reported(REPORTED),
    panels=("train loss", "validation accuracy"),
    pairs=PAIRS,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
