"""The same seed gives, bit for bit, the same training in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import hashlib
import sys

import numpy as np

import tinygrad_edu as torch
import tinygrad_edu.nn as nn
import tinygrad_edu.nn.functional as F
from tinygrad_edu.utils.data import DataLoader, TensorDataset, random_split

seed, workers, order = int(sys.argv[1]), int(sys.argv[2]), list({"a", "b", "c", "d", "e"})
torch.manual_seed(seed)
x = torch.randn(120, 1, 8, 8)
y = torch.randint(0, 4, (120,))
train, test = random_split(TensorDataset(x, y), [0.8, 0.2])
model = nn.Sequential(
    nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2), nn.Flatten(),
    nn.Linear(54, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 4),
)
nn.init.orthogonal_(model[6].weight)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, epochs=3, steps_per_epoch=6)
digest = hashlib.sha256()
for epoch in range(3):
    model.train()
    for inputs, labels in DataLoader(train, 16, shuffle=True, num_workers=workers):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        digest.update(np.float64(loss.item()).tobytes())
    model.eval()
    for inputs, labels in DataLoader(test, 10, num_workers=workers):
        digest.update(model(inputs).detach().numpy().tobytes())
for name, value in sorted(model.state_dict().items()):
    digest.update(name.encode() + value.numpy().tobytes())
print(digest.hexdigest(), *order)
"""


def run(seed, workers, hash_seed):
    """The digest of a run in a new process, and the order of a set of strings there."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(seed), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    digest, _, order = done.stdout.strip().partition(" ")
    return digest, order


@pytest.fixture(scope="module")
def first():
    return run(7, 0, 1)


@pytest.mark.parametrize(("workers", "hash_seed"), [(0, 2), (2, 1), (2, 3)])
def test_the_same_seed(first, workers, hash_seed):
    digest, order = run(7, workers, hash_seed)
    assert digest == first[0]
    assert (order == first[1]) == (hash_seed == 1)  # the hash seed did change what it can change


def test_another_seed(first):
    assert run(8, 0, 1)[0] != first[0]
