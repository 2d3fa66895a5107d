"""Report 000: four runs of a LeNet alike but for the regulariser, told apart by the test that its authors wished for.

    python demos/coursework/report000_regularisers.py

BatchNorm without gamma and beta after the first fully connected layer; dropout 10 % there; weight decay 2e-4 on all
weights; none.  Fashion-MNIST (MNIST where it is not there), Adam, lr 0.001, 10 epochs.  The report saw about 90 % in
all four, over-fitted after 2 or 3 epochs, and could not tell them apart without a hypothesis test.  Here: LeNet-5 with
ReLU and max-pooling, batch 128, 55,000 training images with pixels in [0, 1], the same first weights and batches for
all four of a seed; McNemar's test and a paired bootstrap of all pairs, with Holm's correction.  About a minute a run.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import lenets


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The report's four."""
    return {
        "BatchNorm": lenets.settings(options, norm="first"),
        "dropout 10 %": lenets.settings(options, dropout=0.1, dropout_at="first"),
        "weight decay 2e-4": lenets.settings(options, weight_decay=2e-4),
        "none": lenets.settings(options),
    }


EXPERIMENT = lenets.regularisers(
    "report000_regularisers", __doc__, "Report 000: a LeNet under four regularisers", configs, 0.90
)

if __name__ == "__main__":
    sys.exit(lenets.command(EXPERIMENT, sys.argv[1:]))
