"""Report 002: LeNet-5 with ReLU and max-pooling, and three regularisers in a stronger dose than report 000's.

    python demos/coursework/report002_regularisers.py

The report compares three on Fashion-MNIST (here MNIST where it is not there), in doses and with numbers that are not
known.  Here: BatchNorm after every layer but the last, dropout 50 % behind both hidden layers, weight decay 1e-3 on all
weights, and none.  The rest is as for report 000, which shares the runs without a regulariser: Adam, lr 0.001, 10
epochs, batch 128, the same first weights and batches for all of a seed; paired tests of all pairs.  About a minute
a run.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import lenets


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The report's three, and none."""
    return {
        "BatchNorm": lenets.settings(options, norm="all"),
        "dropout 50 %": lenets.settings(options, dropout=0.5, dropout_at="both"),
        "weight decay 1e-3": lenets.settings(options, weight_decay=1e-3),
        "none": lenets.settings(options),
    }


EXPERIMENT = lenets.regularisers(
    "report002_regularisers", __doc__, "Report 002: LeNet-5 under three regularisers, and none", configs, None
)

if __name__ == "__main__":
    sys.exit(lenets.command(EXPERIMENT, sys.argv[1:]))
