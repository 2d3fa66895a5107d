"""`Trainer`: the training loop with progress, history, checkpoints and exact resume; a loop by hand stays as easy.

trainer = Trainer(model, optim.Adam(model.parameters()), F.cross_entropy, metrics={"accuracy": accuracy})
history = trainer.fit(train_loader, validation_loader, epochs=5)
history["validation accuracy"]          # one number per epoch
"""

from __future__ import annotations

from tinygrad_edu.train.callbacks import Callback, EarlyStopping
from tinygrad_edu.train.history import History
from tinygrad_edu.train.metrics import accuracy
from tinygrad_edu.train.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "History", "Trainer", "accuracy"]
