"""Why weights start as they do: the spread of activations and gradients through ten layers, by hooks."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

WIDTH, DEPTH = 64, 10
rng = np.random.default_rng(5)
inputs = torch.tensor(rng.normal(size=(128, WIDTH)).astype(np.float32))
targets = torch.tensor(rng.integers(0, WIDTH, 128))
noise = [rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) for _ in range(DEPTH)]

# The standard deviation of the weights under each rule; the noise itself is the same everywhere.
RULES = {
    "too small": 0.01,
    "too large": 1.0,
    "Xavier": math.sqrt(2 / (WIDTH + WIDTH)),
    "Kaiming": nn.init.calculate_gain("relu") / math.sqrt(WIDTH),
}


def network(activation, std):
    layers = []
    for k in range(DEPTH):
        linear = nn.Linear(WIDTH, WIDTH)
        nn.init.zeros_(linear.bias)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(noise[k]) * std)
        layers += [linear, activation()]
    return nn.Sequential(*layers)


def statistics(model):
    """Mean and standard deviation of each activation, the share of zeros or saturation, and the gradients' norms."""
    rows, handles = [], []

    def look(module, args, output):
        flat = output.detach().flatten()
        idle = (flat == 0).float().mean() if isinstance(module, nn.ReLU) else (flat.abs() > 0.97).float().mean()
        rows.append([flat.mean().item(), flat.std().item(), idle.item()])

    for module in model:
        if not isinstance(module, nn.Linear):
            handles.append(module.register_forward_hook(look))
    loss = F.cross_entropy(model(inputs), targets)
    loss.backward()
    for handle in handles:
        handle.remove()
    norms = [module.weight.grad.norm().item() for module in model if isinstance(module, nn.Linear)]
    return rows, norms, loss.item()


results = {}
spread = {}
for activation in (nn.ReLU, nn.Tanh, nn.Sigmoid):
    for rule, std in RULES.items():
        if activation is nn.ReLU and rule == "too large":
            continue  # overflows on the way
        name = f"{activation.__name__}, {rule}"
        rows, norms, loss = statistics(network(activation, std))
        results[name] = [rows, norms, loss]
        spread[name] = rows[-1][1] / rows[0][1]
        print(f"{name:20} std of layer 1 {rows[0][1]:.4f}, of layer {DEPTH} {rows[-1][1]:.3e}, gradient {norms[0]:.2e}")

for name, scheme in (("xavier", nn.init.xavier_normal_), ("kaiming", nn.init.kaiming_normal_)):
    fresh = torch.empty(400, 300)
    scheme(fresh)
    expected = math.sqrt(2 / 700) if name == "xavier" else math.sqrt(2 / 300)
    results[f"{name} has its spread"] = abs(fresh.std().item() / expected - 1) < 0.02
results["gains"] = [nn.init.calculate_gain(name) for name in ("linear", "tanh", "relu", "selu")]


def goal():
    assert spread["ReLU, too small"] < 1e-6 < 0.3 < spread["ReLU, Kaiming"] < 3
    assert spread["Tanh, too small"] < 1e-6 < 0.2 < spread["Tanh, Xavier"]
    assert results["Tanh, too large"][0][-1][2] > 0.5 > results["Tanh, Xavier"][0][-1][2]
    assert results["Sigmoid, too small"][1][0] < results["Sigmoid, too small"][1][-1] / 1000
