"""sin(x) by a + b P3(c + d x): a function of one's own with a backward of its own, P3(x) = (5 x³ − 3 x) / 2."""

import math

import numpy as np
import torch


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


dtype = torch.float64
x = torch.linspace(-math.pi, math.pi, 500, dtype=dtype)
y = torch.sin(x)
parameters = [torch.full((), value, dtype=dtype, requires_grad=True) for value in (0.0, -1.0, 0.0, 0.3)]
a, b, c, d = parameters

learning_rate = 2e-5
losses = []
for t in range(800):
    P3 = LegendrePolynomial3.apply
    y_pred = a + b * P3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    if t % 100 == 99:
        print(t, loss.item())
        losses.append(loss.item())
    loss.backward()
    with torch.no_grad():
        for p in parameters:
            p -= learning_rate * p.grad
            p.grad = None

print(f"Result: y = {a.item():.4f} + {b.item():.4f} * P3({c.item():.4f} + {d.item():.4f} x)")

# The hand-written derivative against automatic differentiation of the same formula, and against differences.
z = torch.tensor(np.linspace(-1, 1, 7), requires_grad=True)
LegendrePolynomial3.apply(z).sum().backward()
ours = z.grad.clone()
z.grad = None
(0.5 * (5 * z**3 - 3 * z)).sum().backward()

results = {
    "losses": losses,
    "parameters": [p.item() for p in parameters],
    "derivative": ours,
    "automatic": z.grad,
    "gradcheck": torch.autograd.gradcheck(LegendrePolynomial3.apply, (z,)),
}


def goal():
    assert losses[-1] < losses[0] / 2 and losses[-1] < 15
    np.testing.assert_allclose(ours.numpy(), z.grad.numpy())
