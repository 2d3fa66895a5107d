"""Softmax regression and an MLP from tensors alone: parameters, loss, accuracy and SGD written out."""

import numpy as np
import torch
from torch import nn
from torch.utils import data

rng = np.random.default_rng(6)
num_inputs, num_outputs, num_hiddens, batch_size = 16, 4, 20, 32
prototypes = rng.normal(size=(num_outputs, num_inputs))


def load_array(n, is_train=True):
    labels = rng.integers(0, num_outputs, n)
    features = prototypes[labels] + rng.normal(scale=1.2, size=(n, num_inputs))
    arrays = torch.tensor(features, dtype=torch.float32), torch.tensor(labels)
    return data.DataLoader(data.TensorDataset(*arrays), batch_size, shuffle=False)


train_iter, test_iter = load_array(320), load_array(160, is_train=False)

W = torch.normal(0, 0.01, size=(num_inputs, num_outputs), requires_grad=True)
b = torch.zeros(num_outputs, requires_grad=True)
spread = W.detach().std()
with torch.no_grad():
    W[:] = torch.tensor(rng.normal(0, 0.01, (num_inputs, num_outputs)))


def softmax(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition


def net(X):
    return softmax(torch.matmul(X.reshape((-1, W.shape[0])), W) + b)


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


def accuracy(y_hat, y):
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(axis=1)
    cmp = y_hat.type(y.dtype) == y
    return float(cmp.type(y.dtype).sum())


class Accumulator:
    def __init__(self, n):
        self.data = [0.0] * n

    def add(self, *args):
        self.data = [a + float(b) for a, b in zip(self.data, args, strict=True)]

    def __getitem__(self, idx):
        return self.data[idx]


def evaluate_accuracy(net, data_iter):
    if isinstance(net, torch.nn.Module):
        net.eval()
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(accuracy(net(X), y), y.numel())
    return metric[0] / metric[1]


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def train_epoch(net, train_iter, loss, updater):
    if isinstance(net, torch.nn.Module):
        net.train()
    metric = Accumulator(3)
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y)  # noqa: E741
        if isinstance(updater, torch.optim.Optimizer):
            updater.zero_grad()
            l.mean().backward()
            updater.step()
        else:
            l.sum().backward()
            updater(X.shape[0])
        metric.add(l.sum().item(), accuracy(y_hat, y), y.numel())
    return metric[0] / metric[2], metric[1] / metric[2]


def train(net, loss, updater, num_epochs=3):
    history = []
    for _ in range(num_epochs):
        history.append([*train_epoch(net, train_iter, loss, updater), evaluate_accuracy(net, test_iter)])
    return history


# How indices pick probabilities.
y = torch.tensor([0, 2])
y_hat = torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
picked, losses, right = y_hat[[0, 1], y], cross_entropy(y_hat, y), accuracy(y_hat, y) / len(y)
X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
sums = [X.sum(0, keepdim=True), X.sum(1, keepdim=True), X.sum(axis=0), X.mean(), X.sum() / X.numel(), X.cumsum(axis=0)]

chance = evaluate_accuracy(net, test_iter)
softmax_history = train(net, cross_entropy, lambda batch_size: sgd([W, b], 0.3, batch_size))
print(f"softmax regression: {softmax_history[-1]}")

# An MLP, from nn.Parameter up.
W1 = nn.Parameter(torch.tensor(rng.normal(size=(num_inputs, num_hiddens)) * 0.1, dtype=torch.float))
b1 = nn.Parameter(torch.zeros(num_hiddens, requires_grad=True))
W2 = nn.Parameter(torch.from_numpy(rng.normal(size=(num_hiddens, num_outputs)).astype(np.float32)) * 0.1)
b2 = nn.Parameter(torch.zeros(num_outputs))
params = [W1, b1, W2, b2]


def relu(X):
    return torch.max(X, torch.zeros_like(X))


def mlp(X):
    return relu(X @ W1 + b1) @ W2 + b2


updater = torch.optim.SGD(params, lr=0.3)
mlp_history = train(mlp, nn.CrossEntropyLoss(reduction="none"), updater)


# The same network with layers.
def init_weights(m):
    if type(m) == nn.Linear:  # noqa: E721
        nn.init.normal_(m.weight, std=0.01)


hidden, output = nn.Linear(num_inputs, num_hiddens), nn.Linear(num_hiddens, num_outputs)
concise = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), output)
concise.apply(init_weights)
concise[1].weight.data[:] = W1.data.T
concise[1].bias.data[:] = 0
concise[3].weight.data.copy_(W2.data.t())
concise[3].bias.data.fill_(0.25)
groups = [{"params": concise[1].parameters(), "weight_decay": 1e-3}, {"params": concise[3].parameters()}]
trainer = torch.optim.SGD(groups, lr=0.1)
concise_history = train(concise, nn.CrossEntropyLoss(reduction="none"), trainer)
print(f"MLP: {mlp_history[-1]}, with layers: {concise_history[-1]}")

# Derivatives as a first lesson has them.
x = torch.arange(4.0)
x.requires_grad_(True)
z = 2 * torch.dot(x, x)
z.backward()
first = x.grad == 4 * x
x.grad.zero_()
x.sum().backward()
second = x.grad.clone()
x.grad.zero_()
u = (x * x).detach()
(u * x).sum().backward()
third = x.grad == u


def f(a):
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    return b if b.sum() > 0 else 100 * b


a = torch.tensor(-0.7, requires_grad=True)
d = f(a)
d.backward()

results = {
    "picked": picked,
    "losses": losses,
    "right": right,
    "sums": sums,
    "softmax": softmax_history,
    "W": W.detach(),
    "MLP": mlp_history,
    "with layers": concise_history,
    "weight": concise[1].weight.data,
    "first": first,
    "second": second,
    "third": third,
    "control flow": [a.grad, a.grad == d / a],
    "model": str(concise),
}


def goal():
    assert 0.005 < spread < 0.02
    assert chance < 0.6 < softmax_history[-1][2] and softmax_history[-1][0] < softmax_history[0][0]
    assert mlp_history[-1][2] > 0.6 and concise_history[-1][0] < concise_history[0][0]
    assert first.all() and third.all() and a.grad == d / a
