"""Ten thousand steps of an ordinary training loop keep nothing that one step has made."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.utils.data import DataLoader, TensorDataset

STEPS_PER_EPOCH = 100


class Training:
    """A small MLP with dropout and BatchNorm, Adam, a schedule per step and one on a plateau, and running metrics."""

    def __init__(self):
        tg.manual_seed(0)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(8 * STEPS_PER_EPOCH, 10)).astype(np.float32)
        labels = (x[:, 0] > 0).astype(np.int64)
        self.loader = DataLoader(TensorDataset(tg.from_numpy(x), tg.from_numpy(labels)), 8, shuffle=True)
        self.model = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(self.optimizer, 50, 2)
        self.plateau = optim.lr_scheduler.ReduceLROnPlateau(self.optimizer)

    def epoch(self):
        """Train for one epoch; mean loss and accuracy."""
        self.model.train()
        total_loss, correct, seen = 0.0, 0, 0
        for inputs, labels in self.loader:
            self.optimizer.zero_grad()
            logits = self.model(inputs)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            total_loss += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
            seen += len(labels)
        self.plateau.step(total_loss / seen)
        return total_loss / seen, correct / seen

    def evaluate(self):
        """The accuracy without gradients."""
        self.model.eval()
        with tg.no_grad():
            hits = [(self.model(x).argmax(1) == labels).float().mean().item() for x, labels in self.loader]
        return sum(hits) / len(hits)


def held():
    """Blocks of Python's allocator and tracked objects that are alive, and bytes of resident memory (0 if unknown)."""
    gc.collect()
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return np.array([sys.getallocatedblocks(), len(gc.get_objects()), pages * 4096])


def test_ten_thousand_steps_keep_nothing():
    training = Training()
    for _ in range(5):
        training.epoch()
    training.evaluate()
    before = held()
    for _ in range(100):
        loss, accuracy = training.epoch()
    accuracy = training.evaluate()
    blocks, objects, resident = held() - before
    assert accuracy > 0.9 and loss < 0.4
    # One kept float per step would be 10,000 blocks, one kept object per epoch 100 objects; 1,500 bytes a step would be
    # 15 MB, and less may be what the allocator rounds up.
    assert blocks < 1000
    assert objects < 50
    assert resident < 15_000_000


def test_the_measurement_sees_a_leak():
    training = Training()
    training.epoch()
    before = held()
    kept = []
    for _ in range(5):
        inputs, _ = next(iter(training.loader))
        kept.append(training.model(inputs).sum())  # the mistake: the loss with its graph, instead of loss.item()
    blocks, objects, _ = held() - before
    assert blocks > 100 and objects > 25
