"""Linear regression by a loop written by hand: predictions, loss, gradients, a step against them."""

import numpy as np
import torch

rng = np.random.default_rng(1)
true_w, true_b = np.array([[2.0], [-3.4]], np.float32), 4.2
features = rng.normal(size=(200, 2)).astype(np.float32)
labels = features @ true_w + true_b + rng.normal(scale=0.01, size=(200, 1)).astype(np.float32)

X, y = torch.from_numpy(features), torch.tensor(labels)
w = torch.zeros(2, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)


def model(X, w, b):
    return torch.matmul(X, w) + b


def squared_loss(y_hat, y):
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def batches(size):
    for i in range(0, len(X), size):
        yield X[i : min(i + size, len(X))], y[i : min(i + size, len(X))]


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


history = []
for epoch in range(3):
    for X_batch, y_batch in batches(10):
        loss = squared_loss(model(X_batch, w, b), y_batch)
        loss.sum().backward()
        sgd([w, b], lr=0.2, batch_size=10)
    with torch.no_grad():
        train_loss = squared_loss(model(X, w, b), y)
        history.append(float(train_loss.mean()))
        print(f"epoch {epoch + 1}, loss {float(train_loss.mean()):f}")

print(f"error in estimating w: {torch.tensor(true_w) - w}")
print(f"error in estimating b: {true_b - b}")

# The same solved in one step: the normal equations of least squares.
ones = torch.ones(len(X), 1)
A = torch.cat([X, ones], dim=1)
gram, moment = A.T @ A, A.T @ y
theta = torch.linalg.solve(gram, moment)

results = {
    "history": history,
    "w": w.detach(),
    "b": b.detach(),
    "solved": theta,
    "gradient at the solution": (A.T @ (A @ theta - y)).abs().max() < 1e-2,
}


def goal():
    assert history[-1] < history[0] / 10 and history[-1] < 0.01
    np.testing.assert_allclose(w.detach().numpy(), true_w, atol=0.01)
    np.testing.assert_allclose(theta.numpy(), [*true_w, [true_b]], atol=0.01)
