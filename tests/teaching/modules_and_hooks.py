"""Modules of one's own: buffers, containers, hooks that collect activations and gradients, clipping, shared weights."""

from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.parameter import Parameter

rng = np.random.default_rng(77)


class MovingAverage(nn.Module):
    """Subtracts the running mean; a buffer moves and is saved, but is no parameter."""

    def __init__(self, features, momentum=0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.mean += self.momentum * (x.detach().mean(0) - self.mean)
            self.steps += 1
        return x - self.mean

    def extra_repr(self):
        return f"{self.mean.numel()}, momentum={self.momentum}"


class MyLinear(nn.Module):
    def __init__(self, in_units, units):
        super().__init__()
        self.weight = Parameter(torch.tensor(rng.normal(size=(in_units, units)), dtype=torch.float32) / 3)
        self.bias = Parameter(torch.zeros(units))
        self.register_parameter("scale", None)

    def forward(self, X):
        return F.relu(torch.matmul(X, self.weight) + self.bias)


class Network(nn.Module):
    def __init__(self, activations=("relu", "tanh")):
        super().__init__()
        self.norm = MovingAverage(6)
        self.layers = nn.ModuleList([MyLinear(6, 8)])
        self.layers.append(MyLinear(8, 8))
        self.layers.extend([MyLinear(8, 8), nn.Identity()])
        self.choices = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.choices["leaky"] = nn.LeakyReLU(0.05)
        self.gains = nn.ParameterList([nn.Parameter(torch.ones(1) * k) for k in (1.0, 0.5)])
        parts = [("inner", nn.Linear(8, 4)), ("act", nn.ELU()), ("last", nn.Linear(4, 2))]
        self.head = nn.Sequential(OrderedDict(parts))
        self.activations = activations

    def forward(self, x):
        x = self.norm(x)
        for i, layer in enumerate(self.layers):
            x = layer(x) if i % 2 == 0 else x + layer(x)
        for gain, name in zip(self.gains, self.activations, strict=True):
            x = gain * self.choices[name](x)
        return self.head(x)


net = Network()
with torch.no_grad():
    for p in net.head.parameters():
        p.copy_(torch.from_numpy(rng.normal(scale=0.5, size=tuple(p.shape))))
print(net)
X = torch.from_numpy(rng.normal(loc=0.3, size=(10, 6)).astype(np.float32))
target = torch.from_numpy(rng.integers(0, 2, 10))

# Activations by forward hooks, gradients by backward hooks.
activation, gradients, order, inputs_seen = {}, {}, [], {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


def get_gradient(name):
    def hook(module, grad_input, grad_output):
        gradients[name] = grad_output[0].clone()

    return hook


handles = [m.register_forward_hook(get_activation(n)) for n, m in net.named_modules() if not list(m.children())]
handles.append(net.head.register_forward_pre_hook(lambda m, args: inputs_seen.update(head=args[0].detach())))
handles.append(net.head.last.register_full_backward_hook(get_gradient("last")))
handles.append(net.layers[1].register_full_backward_hook(get_gradient("second")))
doubled = net.gains[0].register_hook(lambda grad: 2 * grad)
loss = F.cross_entropy(net(X), target)
loss.backward()
with_hook = net.gains[0].grad.clone()
for handle in handles:
    handle.remove()
doubled.remove()
seen = len(activation)
activation.clear()
net.eval()
net.zero_grad()
replaced = net.head.act.register_forward_hook(lambda m, i, o: torch.zeros_like(o))
constant = net(X)
replaced.remove()
loss = F.cross_entropy(net(X), target)
loss.backward()

# Clipping by norm and by value.
before = torch.sqrt(sum(p.grad.pow(2).sum() for p in net.parameters() if p.grad is not None))
total = nn.utils.clip_grad_norm_(net.parameters(), max_norm=0.1)
after = torch.norm(torch.stack([torch.norm(p.grad.detach(), 2) for p in net.parameters()]), 2)
nn.utils.clip_grad_value_(net.parameters(), clip_value=0.01)
largest = max(p.grad.abs().max().item() for p in net.parameters())
vector = nn.utils.parameters_to_vector(net.parameters())
nn.utils.vector_to_parameters(vector * 0.5, net.parameters())

# Tied weights are one parameter.
shared = nn.Linear(8, 8)
tied = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1))
tied[2].weight.data[0, 0] = 100
same = bool((tied[2].weight.data[0] == tied[4].weight.data[0]).all())


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.out = nn.Linear(4, 9, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids):
        return self.out(self.embed(ids))


language = Language()
language.embed.weight.data = torch.tensor(rng.normal(size=(9, 4)).astype("float32"))
language.out.weight = language.embed.weight
language(torch.tensor([1, 2])).sum().backward()

results = {
    "model": str(net),
    "seen": seen,
    "inputs": inputs_seen["head"],
    "gradients": gradients,
    "hooked": with_hook,
    "plain": net.gains[0].grad.clone(),
    "silent": len(activation),
    "constant": constant,
    "mean": net.norm.mean.clone(),
    "steps": net.norm.steps,
    "keys": list(net.state_dict().keys()),
    "buffers": [name for name, _ in net.named_buffers()],
    "children": [name for name, _ in net.named_children()],
    "modules": [type(m).__name__ for m in net.modules()],
    "norms": [before, total, after],
    "largest": largest,
    "halved": vector[:5] / net.layers[0].weight.view(-1)[:5],
    "count": len(vector),
    "tied": [same, len(list(tied.parameters())), len(list(language.parameters()))],
    "tied gradient": language.embed.weight.grad,
    "sub": str(net.get_submodule("head.inner")),
    "training": [m.training for m in net.modules()],
    "frozen": [p.requires_grad for p in net.head.requires_grad_(False).parameters()],
    "double": str(net.double().head.last.weight.dtype).split(".")[-1],
}


def goal():
    assert same and results["steps"].item() == 1 and torch.allclose(before, total)
    assert after <= 0.1001 and largest <= 0.01 and not activation
    assert torch.allclose(constant, constant[0].expand_as(constant))
