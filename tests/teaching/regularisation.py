"""Fitting without overfitting: weight decay, dropout, label smoothing, early stopping, and schedules."""

import copy

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

rng = np.random.default_rng(100)


def make_data(n, dim=12, classes=3):
    x = rng.normal(size=(n, dim))
    y = np.argmax(x[:, :classes] + 0.5 * rng.normal(size=(n, classes)), axis=1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


x_train, y_train = make_data(60)
x_val, y_val = make_data(200)
WEIGHTS = [rng.normal(size=(64, 12)) / 12**0.5, np.zeros(64), rng.normal(size=(3, 64)) / 8, np.zeros(3)]


def make_model(p=0.0):
    model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 3))
    with torch.no_grad():
        for param, value in zip(model.parameters(), WEIGHTS, strict=True):
            param.copy_(torch.as_tensor(value))
    return model


def fit(model, criterion, epochs=40, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, **options)
    curve = []
    for _ in range(epochs):
        model.train()
        loss = criterion(model(x_train), y_train)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.inference_mode():
            val = nn.functional.cross_entropy(model(x_val), y_val)
            correct = (model(x_val).argmax(1) == y_val).type(torch.float).mean()
        curve.append([loss.item(), val.item(), correct.item()])
    return curve


results, lengths = {}, {}
plain = nn.CrossEntropyLoss()
for name, criterion, options in (
    ("plain", plain, {}),
    ("weight decay", plain, {"weight_decay": 0.03}),
    ("Nesterov", plain, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("label smoothing", nn.CrossEntropyLoss(label_smoothing=0.2), {}),
    ("class weights", nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5])), {}),
):
    model = make_model()
    results[name] = fit(model, criterion, **options)[::8]
    lengths[name] = sum(p.pow(2).sum() for p in model.parameters()).sqrt()
    print(f"{name:16} train {results[name][-1][0]:.3f}  val {results[name][-1][1]:.3f}  |w| {lengths[name]:.3f}")
results["lengths"] = torch.stack(list(lengths.values()))

# L1 by hand: small weights become smaller still.
model = make_model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(30):
    l1_norm = sum(torch.abs(p).sum() for p in model.parameters())
    loss = plain(model(x_train), y_train) + 0.005 * l1_norm
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
results["L1"] = [loss.item(), l1_norm.item()]

# Dropout: scaled while training, the identity in evaluation, and its mean is right.
drop = nn.Dropout(0.25)
ones = torch.ones(200, 200)
dropped = drop(ones)
results["dropout"] = sorted(dropped.unique().tolist())
share = (dropped == 0).float().mean().item()
drop.eval()
results["dropout off"] = bool(torch.equal(drop(ones), ones))


class EarlyStopping:
    def __init__(self, patience=3, min_delta=0.0):
        self.patience, self.min_delta = patience, min_delta
        self.counter, self.best_loss, self.state = 0, float("inf"), None

    def __call__(self, loss, model):
        if loss < self.best_loss - self.min_delta:
            self.best_loss, self.counter = loss, 0
            self.state = copy.deepcopy(model.state_dict())
        else:
            self.counter += 1
        return self.counter >= self.patience


model, stopper = make_model(), EarlyStopping()
optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
scheduler = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1)
stopped, rates = None, []
for epoch in range(60):
    loss = plain(model(x_train), y_train)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        val_loss = plain(model(x_val), y_val)
    scheduler.step(val_loss)
    rates.append(optimizer.param_groups[0]["lr"])
    if stopper(val_loss.item(), model):
        stopped = epoch
        break
model.load_state_dict(stopper.state)
results["early stopping"] = [stopped, stopper.best_loss, rates, plain(model(x_val), y_val)]
print(f"stopped after epoch {stopped} at {stopper.best_loss:.4f}, rate {rates[-1]:g}")

# The rates of the schedules.
for name, make in (
    ("step", lambda o: StepLR(o, 5, 0.5)),
    ("multi-step", lambda o: MultiStepLR(o, [4, 9])),
    ("exponential", lambda o: ExponentialLR(o, gamma=0.9)),
    ("restarts", lambda o: CosineAnnealingWarmRestarts(o, T_0=4, T_mult=2)),
    ("one cycle", lambda o: OneCycleLR(o, max_lr=1.0, epochs=3, steps_per_epoch=5, pct_start=0.4)),
    ("cyclic", lambda o: CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3, mode="triangular2")),
    ("lambda", lambda o: LambdaLR(o, lambda epoch: 0.95**epoch)),
    ("warm-up", lambda o: SequentialLR(o, [LinearLR(o, 0.25, total_iters=4), ExponentialLR(o, 0.8)], [4])),
):
    optimizer = torch.optim.SGD(make_model().parameters(), lr=0.1, momentum=0.9)
    schedule, rates = make(optimizer), []
    for _ in range(14):
        optimizer.step()
        rates.append([schedule.get_last_lr()[0], optimizer.param_groups[0]["momentum"]])
        schedule.step()
    results[name] = rates


def goal():
    assert lengths["weight decay"] < lengths["plain"]
    assert results["plain"][-1][0] < results["label smoothing"][-1][0]
    assert abs(share - 0.25) < 0.01 and results["dropout off"] and 0 < stopped < 59
    assert results["early stopping"][3].item() <= results["plain"][-1][1] + 0.1
