"""What grows around a training loop: resuming, averaging weights, distillation, a rate finder, windows of a series."""

import io
import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.autograd import Variable
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler, TensorDataset

rng = np.random.default_rng(64)
series = torch.tensor(np.sin(np.arange(220) / 5) + 0.3 * np.sin(np.arange(220) / 2), dtype=torch.float32)
windows = series.unfold(0, 13, 1)
inputs, targets = windows[:, :12].unsqueeze(1), windows[:, -1:]


class Stream(IterableDataset):
    """The windows one after the other, as they come."""

    def __iter__(self):
        return iter(zip(inputs[:160], targets[:160], strict=True))


class Causal(nn.Module):
    """Convolutions that see no future, dilated."""

    def __init__(self, channels=8):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(1 if k == 0 else channels, channels, 2, dilation=2**k) for k in range(3))
        self.norm = nn.BatchNorm1d(channels)
        self.head = nn.Linear(channels, 1)

    def forward(self, x):
        for conv in self.convs:
            x = F.gelu(conv(F.pad(x, (conv.dilation[0], 0))))
        return self.head(self.norm(x)[..., -1])


def make(seed):
    generator, model = np.random.default_rng(seed), Causal()
    for p in model.parameters():
        if p.dim() > 1:
            p.data.copy_(torch.from_numpy(generator.normal(scale=0.4, size=tuple(p.shape))))
        elif not (p == 1).all():
            p.data.zero_()
    return model


def run(model, optimizer, epochs, after=None):
    criterion, losses = nn.HuberLoss(delta=0.5), []
    for _ in range(epochs):
        for x, y in DataLoader(Stream(), batch_size=40):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if after:
                after(model)
    return losses


# Four epochs at once, and two and two with a checkpoint between them.
whole = make(1)
straight = run(whole, optim.Adam(whole.parameters(), lr=0.01, amsgrad=False), 4)
half = make(1)
optimizer = optim.Adam(half.parameters(), lr=0.01)
first = run(half, optimizer, 2)
buffer = io.BytesIO()
torch.save(
    {
        "epoch": 2,
        "model_state_dict": half.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": first[-1],
    },
    buffer,
)
buffer.seek(0)
checkpoint = torch.load(buffer)
resumed = make(2)
optimizer = optim.Adam(resumed.parameters(), lr=0.5)
resumed.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
second = run(resumed, optimizer, 2)

# A moving average of the weights.
model, average = make(1), make(1)


@torch.no_grad()
def update(model, decay=0.9):
    for a, p in zip(average.parameters(), model.parameters(), strict=True):
        a.mul_(decay).add_(p, alpha=1 - decay)
    for a, b in zip(average.buffers(), model.buffers(), strict=True):
        a.copy_(b)


run(model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9), 3, update)
average.eval()

# A rate finder: the rate grows until the loss does.
finder = make(1)
optimizer = optim.SGD(finder.parameters(), lr=1e-4)
rates, found, smooth = [], [], 0.0
batches = DataLoader(
    TensorDataset(inputs, targets), batch_sampler=BatchSampler(SequentialSampler(inputs), 40, drop_last=True)
)
for k, (x, y) in enumerate(itertools.islice(itertools.cycle(batches), 20)):
    optimizer.param_groups[0]["lr"] = 1e-4 * (1.5**k)
    optimizer.zero_grad()
    loss = F.mse_loss(finder(x), y)
    loss.backward()
    optimizer.step()
    smooth = 0.7 * smooth + 0.3 * loss.item()
    rates.append(optimizer.param_groups[0]["lr"])
    found.append(smooth / (1 - 0.7 ** (k + 1)))

# Distillation: a student learns what a teacher says, at a temperature.
teacher_logits, hard = (
    torch.tensor(rng.normal(size=(64, 5)) * 3, dtype=torch.float),
    torch.from_numpy(rng.integers(0, 5, 64)),
)
features = torch.tensor(rng.normal(size=(64, 10)), dtype=torch.float)
student = nn.Linear(10, 5)
nn.init.eye_(student.weight)
nn.init.constant_(student.bias, 0.1)
optimizer, T, alpha = optim.RMSprop(student.parameters(), lr=0.02, momentum=0.5), 4.0, 0.7
distilled = []
for _ in range(25):
    optimizer.zero_grad()
    logits = student(features)
    soft = (
        nn.KLDivLoss(reduction="batchmean")(F.log_softmax(logits / T, dim=1), F.softmax(teacher_logits / T, dim=1))
        * T
        * T
    )
    loss = alpha * soft + (1 - alpha) * F.cross_entropy(logits, hard)
    loss.backward()
    optimizer.step()
    distilled.append([soft.item(), loss.item()])

# A forecast step by step, from its own results; and a probabilistic one.
whole.eval()
history = series[160:172].clone()
with torch.no_grad():
    for _ in range(10):
        history = torch.cat((history, whole(history[-12:].view(1, 1, -1)).view(-1)))
mean, log_var = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
optimizer = optim.Adagrad([mean, log_var], lr=0.3)
for _ in range(60):
    optimizer.zero_grad()
    nll = nn.GaussianNLLLoss()(mean.expand(220), series + 0.5, log_var.exp().expand(220))
    nll.backward()
    optimizer.step()

# As it was written years ago.
old = Variable(torch.ones(2, 2), requires_grad=True)
out = (old + 2).pow(2).mul(3).mean()
out.backward()
weight = old.data
weight -= 0.1 * old.grad.data

results = {
    "straight": straight,
    "first": first,
    "second": second,
    "checkpoint": [checkpoint["epoch"], checkpoint["loss"]],
    "average": average(inputs[:3]),
    "average buffers": average.norm.running_mean,
    "rates": rates,
    "found": found,
    "distilled": distilled,
    "forecast": history,
    "Gaussian": [mean, log_var, nll],
    "old": [old.grad, old.data],
    "windows": windows[:2],
    "perplexity": math.exp(min(distilled[-1][0], 20)),
    "model": str(whole),
}


def goal():
    np.testing.assert_allclose(first + second, straight, rtol=1e-4)
    assert straight[-1] < straight[0] / 3 and distilled[-1][1] < distilled[0][1]
    assert abs(mean.item() - series.mean().item() - 0.5) < 0.05 and min(found) < found[0]
