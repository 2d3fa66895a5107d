"""Derivatives of derivatives: a differential equation by a network, Jacobians, Hessians, Newton's method."""

import math

import numpy as np
import torch
import torch.nn as nn
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vjp

rng = np.random.default_rng(9)
torch.set_default_dtype(torch.float64)


# u'' = -u, u(0) = 0, u'(0) = 1: the sine, found by a network that never sees it.
class PINN(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        hidden = [nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()]
        self.net = nn.Sequential(*hidden, nn.Linear(width, 1))
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.tensor(rng.normal(size=p.shape) * 0.5))

    def forward(self, t):
        return self.net(t)


pinn = PINN()
optimizer = torch.optim.Adam(pinn.parameters(), lr=1e-2)
t_boundary = torch.tensor(0.0).view(-1, 1).requires_grad_(True)
t_physics = torch.linspace(0, 2, 20).view(-1, 1).requires_grad_(True)
history = []
for i in range(300):
    optimizer.zero_grad()
    u0 = pinn(t_boundary)
    du0 = grad(u0, t_boundary, torch.ones_like(u0), create_graph=True)[0]
    boundary = (torch.squeeze(u0) - 0) ** 2 + (torch.squeeze(du0) - 1) ** 2
    u = pinn(t_physics)
    dudt = torch.autograd.grad(u, t_physics, torch.ones_like(u), create_graph=True)[0]
    d2udt2 = torch.autograd.grad(dudt, t_physics, torch.ones_like(dudt), create_graph=True)[0]
    physics = torch.mean((d2udt2 + u) ** 2)
    loss = boundary + physics
    loss.backward()
    optimizer.step()
    if i % 50 == 0:
        history.append(loss.item())
error = (pinn(t_physics) - torch.sin(t_physics)).abs().max().item()
print(f"loss {history}, largest error {error:.4f}")

# Derivatives of a scalar function, order after order: d^n/dx^n sin(2x) = 2^n sin(2x + n pi / 2).
x = torch.tensor(0.3, requires_grad=True)
y, orders = torch.sin(2 * x), []
for n in range(1, 6):
    (y,) = torch.autograd.grad(y, x, create_graph=True)
    orders.append(y.item() - 2**n * math.sin(2 * 0.3 + n * math.pi / 2))


# Jacobian and Hessian, by the library and by hand.
def polar(v):
    r, phi = v[0], v[1]
    return torch.stack([r * torch.cos(phi), r * torch.sin(phi)])


point = torch.tensor([2.0, 0.7])
J = jacobian(polar, point)
rows = []
p = point.clone().requires_grad_()
out = polar(p)
for k in range(2):
    rows.append(torch.autograd.grad(out, p, grad_outputs=torch.eye(2)[k], retain_graph=True)[0])


def rosenbrock(v):
    return ((1 - v[:-1]) ** 2 + 100 * (v[1:] - v[:-1] ** 2) ** 2).sum()


start = torch.tensor([-1.2, 1.0, 0.5])
H = hessian(rosenbrock, start)
direction = torch.tensor([1.0, -2.0, 0.5])
product = hvp(rosenbrock, start, direction)[1]
pushed, pulled = jvp(polar, point, torch.tensor([1.0, 0.5]))[1], vjp(polar, point, torch.tensor([1.0, 0.5]))[1]

# Newton's method with a line search.
v = start.clone()
values = [rosenbrock(v).item()]
for _ in range(40):
    v.requires_grad_(True)
    value = rosenbrock(v)
    (g,) = torch.autograd.grad(value, v)
    v = v.detach()
    step = torch.linalg.solve(hessian(rosenbrock, v) + 1e-6 * torch.eye(3), -g)
    t = 1.0
    while rosenbrock(v + t * step) > value and t > 1e-4:
        t /= 2
    v = v + t * step
    values.append(rosenbrock(v).item())
    if g.norm() < 1e-8:
        break
print(f"Newton: {len(values) - 1} steps, {values[-1]:.2e} at {v}")

# A gradient as a regulariser, and one step of learning to learn: the gradient through a gradient step.
w = torch.tensor([0.5, -1.0], requires_grad=True)
data, goals = torch.tensor(rng.normal(size=(8, 2))), torch.tensor(rng.normal(size=8))
inner = ((data @ w - goals) ** 2).mean()
(gw,) = torch.autograd.grad(inner, w, create_graph=True)
adapted = w - 0.1 * gw
outer = ((data.flip(0) @ adapted - goals) ** 2).mean()
outer.backward()
expected = (torch.eye(2) - 0.1 * 2 * data.T @ data / 8) @ (2 * data.flip(0).T @ (data.flip(0) @ adapted - goals) / 8)

inputs = tuple(torch.tensor(rng.normal(size=size), requires_grad=True) for size in ((3, 4), (4,)))
unused = torch.ones(1, requires_grad=True)
results = {
    "history": history,
    "u": pinn(t_physics).detach(),
    "orders": torch.tensor(orders).abs().max() < 1e-9,
    "J": J,
    "rows": torch.stack(rows),
    "H": H,
    "Hv": product,
    "pushed": pushed,
    "pulled": pulled,
    "Newton": values[:4],
    "minimum": v,
    "meta": w.grad,
    "expected": expected.detach(),
    "gradcheck": gradcheck(lambda a, b: torch.tanh(a @ b), inputs, eps=1e-6, atol=1e-4),
    "gradgradcheck": gradgradcheck(lambda a, b: (a.exp() * b).sum(1).sin(), inputs),
    "unused": grad((inputs[0] ** 2).sum(), unused, allow_unused=True)[0] is None,
    "default dtype": str(torch.get_default_dtype()).split(".")[-1],
}
torch.set_default_dtype(torch.float32)


def goal():
    assert history[-1] < history[0] / 50 and error < 0.1 and results["orders"]
    np.testing.assert_allclose(J.numpy(), torch.stack(rows).numpy())
    np.testing.assert_allclose((H @ direction).numpy(), product.numpy())
    np.testing.assert_allclose(v.numpy(), 1, atol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), expected.detach().numpy())
