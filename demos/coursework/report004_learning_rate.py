"""Report 004: the learning rate of SGD for a conv net, with and without BatchNorm.

    python demos/coursework/report004_learning_rate.py

Seven conv layers (conv_nets.py) on MNIST (55,000 / 5,000 / 10,000), batch 110, pixels in [0, 1], no momentum, one
epoch.  The report gives no number for three of its twelve cells; all twelve are computed here.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import conv_nets
from conv_nets import label
from running import Experiment, main

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.1)
REPORTED = {
    **dict(zip([(f"lr {lr}", False) for lr in RATES], (0.6694, 0.7941, 0.9304, 0.9454, 0.9673, 0.9852), strict=True)),
    **dict(zip([(f"lr {lr}", True) for lr in RATES[:3]], (0.8125, 0.8898, 0.9479), strict=True)),
}


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The twelve configurations of the table."""
    rates = RATES[::5] if options.quick else RATES
    return {label(f"lr {lr}", norm): conv_nets.config(options, norm, lr=lr) for norm in (False, True) for lr in rates}


EXPERIMENT = Experiment(
    name="report004_learning_rate",
    about=__doc__,
    run=conv_nets.run,
    configs=configs,
    family=conv_nets.FAMILY,
    remarks=conv_nets.remarks,
    title="Learning rate on MNIST: seven conv layers under SGD",
    reported=conv_nets.reported(REPORTED),
    panels=("train loss", "validation accuracy"),
    pairs=[(label(f"lr {lr}", False), label(f"lr {lr}", True)) for lr in RATES],
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
