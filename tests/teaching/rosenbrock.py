"""Down the banana valley: optimisers and schedules on Rosenbrock's function (1 − x)² + 100 (y − x²)²."""

import torch
from torch import optim
from torch.optim import lr_scheduler


def rosenbrock(xy):
    x, y = xy
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def descend(make_optimizer, make_schedule=None, steps=300):
    """The path from (−1.5, 2), the rates, and the last value."""
    xy = torch.tensor([-1.5, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([xy])
    schedule = make_schedule(optimizer) if make_schedule else None
    path, rates = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        value = rosenbrock(xy)
        value.backward()
        torch.nn.utils.clip_grad_norm_([xy], 10.0)
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        if schedule is not None:
            if isinstance(schedule, lr_scheduler.ReduceLROnPlateau):
                schedule.step(value.detach())
            else:
                schedule.step()
        path.append(xy.detach().clone())
    return torch.stack(path)[::20], rates[::20], rosenbrock(xy).item()


def warmup(optimizer):
    rise = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=30)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=270)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[30])


RUNS = {
    "SGD": (lambda p: optim.SGD(p, lr=1e-3), None),
    "momentum": (lambda p: optim.SGD(p, lr=1e-3, momentum=0.9), None),
    "Nesterov": (lambda p: optim.SGD(p, lr=1e-3, momentum=0.9, nesterov=True), None),
    "RMSprop": (lambda p: optim.RMSprop(p, lr=1e-2), None),
    "Adagrad": (lambda p: optim.Adagrad(p, lr=0.1), None),
    "Adam": (lambda p: optim.Adam(p, lr=0.05), None),
    "AdamW": (lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.01), None),
    "Adam, steps": (lambda p: optim.Adam(p, lr=0.1), lambda o: lr_scheduler.StepLR(o, step_size=100, gamma=0.5)),
    "Adam, exponential": (lambda p: optim.Adam(p, lr=0.1), lambda o: lr_scheduler.ExponentialLR(o, 0.995)),
    "Adam, cosine": (lambda p: optim.Adam(p, lr=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, 300)),
    "Adam, warm-up": (lambda p: optim.Adam(p, lr=0.1), warmup),
    "Adam, plateau": (lambda p: optim.Adam(p, lr=0.2), lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=5)),
    "SGD, one cycle": (
        lambda p: optim.SGD(p, lr=1e-3, momentum=0.9),
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=2e-3, total_steps=300),
    ),
    "SGD, lambda": (
        lambda p: optim.SGD(p, lr=2e-3, momentum=0.8),
        lambda o: lr_scheduler.LambdaLR(o, lr_lambda=lambda step: 1 / (1 + 0.01 * step)),
    ),
}
start = rosenbrock(torch.tensor([-1.5, 2.0], dtype=torch.float64)).item()
results, values = {}, {}
for name, (make_optimizer, make_schedule) in RUNS.items():
    path, rates, values[name] = descend(make_optimizer, make_schedule)
    results[name] = [path, rates, values[name]]
    print(f"{name:20} {values[name]:.6f} at ({path[-1][0].item():.3f}, {path[-1][1].item():.3f})")


def goal():
    assert all(value < start for value in values.values())
    assert values["momentum"] < values["SGD"] and values["Adam"] < 0.5
