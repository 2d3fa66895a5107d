"""Report 004: a net of seven conv layers, three optimisers, with and without BatchNorm.

    python demos/coursework/report004_optimizers.py

MNIST (55,000 / 5,000 / 10,000), batch 110, pixels in [0, 1], lr 0.001 for all, SGD without momentum, one epoch;
conv_nets.py has the nets.  RMSprop and Adam are also given 3 epochs: the report's 99 % need more than one.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import conv_nets
from conv_nets import label
from running import Experiment, main

LONGER = 3
REPORTED = {
    ("SGD", False): 0.6065,
    ("RMSprop", False): 0.9885,
    ("Adam", False): 0.9898,
    ("SGD", True): 0.8069,
    ("RMSprop", True): 0.9902,
    ("Adam", True): 0.9882,
}
AGAIN = {(f"{o}, {LONGER} epochs", norm): REPORTED[o, norm] for norm in (False, True) for o in ("RMSprop", "Adam")}


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The six configurations of the table, and the four that are trained longer."""
    table = {label(o, norm): conv_nets.config(options, norm, optimizer=o) for o, norm in REPORTED}
    if options.epochs is None and not options.quick:
        for what, norm in AGAIN:
            optimizer = what.split(",")[0]
            table[label(what, norm)] = conv_nets.config(options, norm, optimizer=optimizer, epochs=LONGER)
    return table


ENDS = ("", f", {LONGER} epochs")
PAIRS = [(label(o, False), label(o, True)) for o in ("SGD", "RMSprop", "Adam")]
PAIRS += [(label("SGD", norm), label(o, norm)) for norm in (False, True) for o in ("RMSprop", "Adam")]
PAIRS += [(label(f"RMSprop{e}", norm), label(f"Adam{e}", norm)) for norm in (False, True) for e in ENDS]
EXPERIMENT = Experiment(
    name="report004_optimizers",
    about=__doc__,
    run=conv_nets.run,
    configs=configs,
    family=conv_nets.FAMILY,
    remarks=conv_nets.remarks,
    title="Seven conv layers on MNIST: optimisers and BatchNorm",
    reported=conv_nets.reported({**REPORTED, **AGAIN}),
    panels=("train loss", "validation accuracy"),
    pairs=PAIRS,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
