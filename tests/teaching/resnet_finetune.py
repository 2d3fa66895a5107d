"""Residual blocks: pretraining, a checkpoint, a new head, frozen layers, and rates by parameter group."""

import copy
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import lr_scheduler

rng = np.random.default_rng(33)


def textures(n, kinds):
    """Stripes of different directions and widths, three channels of 8 x 8."""
    labels = np.arange(n) % kinds
    i, j = np.indices((8, 8))
    waves = [np.sin(1.6 * i), np.sin(1.6 * j), np.sin(1.2 * (i + j)), np.sin(1.2 * (i - j))]
    x = np.stack([np.stack([waves[k]] * 3) for k in labels]) + rng.normal(scale=0.5, size=(n, 3, 8, 8))
    return torch.tensor(x, dtype=torch.float32), torch.as_tensor(labels)


def conv3x3(in_planes, out_planes, stride=1):
    return nn.Conv2d(in_planes, out_planes, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv1 = conv3x3(in_planes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, self.expansion * planes, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(self.expansion * planes),
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    def __init__(self, block, num_blocks, num_classes=3):
        super().__init__()
        self.in_planes = 6
        self.conv1 = conv3x3(3, 6)
        self.bn1 = nn.BatchNorm2d(6)
        self.layer1 = self._make_layer(block, 6, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(block, 12, num_blocks[1], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(12 * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _make_layer(self, block, planes, num_blocks, stride):
        layers = []
        for step in [stride] + [1] * (num_blocks - 1):
            layers.append(block(self.in_planes, planes, step))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer2(self.layer1(out))
        return self.fc(torch.flatten(self.avgpool(out), 1))


def overwrite(params):
    with torch.no_grad():
        for p in params:
            if p.dim() > 1:
                p.copy_(torch.from_numpy(rng.normal(scale=(2 / p[0].numel()) ** 0.5, size=tuple(p.shape))))
            elif (p == 1).all():
                continue
            else:
                p.zero_()


def epoch(model, x, y, optimizer):
    model.train()
    total = 0.0
    for xb, yb in zip(x.split(24), y.split(24), strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item() * xb.size(0)
    return total / x.size(0)


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        outputs = model(x)
        _, preds = torch.max(outputs, 1)
        return torch.sum(preds == y.data).double() / len(y), outputs


model = ResNet(BasicBlock, [1, 1])
overwrite(model.parameters())
print(model)
x, y = textures(96, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
history, best_acc, best = [], 0.0, copy.deepcopy(model.state_dict())
for _ in range(4):
    history.append([epoch(model, x, y, optimizer), optimizer.param_groups[0]["lr"], scheduler.get_last_lr()[0]])
    scheduler.step()
    acc, outputs = accuracy(model, x, y)
    if acc > best_acc:
        best_acc, best = acc, copy.deepcopy(model.state_dict())
model.load_state_dict(best)
trained = accuracy(model, x, y)[1]

# Save, load into another, replace the head, freeze the trunk.
with tempfile.TemporaryDirectory() as folder:
    PATH = Path(folder) / "resnet.pth"
    torch.save(model.state_dict(), PATH)
    state = torch.load(PATH, map_location=torch.device("cpu"), weights_only=True)
tuned = ResNet(BasicBlock, [1, 1])
keys = tuned.load_state_dict(state)
same = torch.equal(accuracy(tuned, x, y)[1], accuracy(model, x, y)[1])
for param in tuned.parameters():
    param.requires_grad = False
tuned.fc = nn.Linear(tuned.fc.in_features, 4)
overwrite(tuned.fc.parameters())
x4, y4 = textures(96, 4)
before = copy.deepcopy(tuned.state_dict())
head = torch.optim.SGD([p for p in tuned.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
frozen_losses = [epoch(tuned, x4, y4, head) for _ in range(3)]
unchanged = [name for name, p in tuned.named_parameters() if torch.equal(p, before[name])]
without_grad = [name for name, p in tuned.named_parameters() if p.grad is None]

for p in tuned.layer2.parameters():
    p.requires_grad_(True)
groups = [{"params": tuned.layer2.parameters(), "lr": 0.01}, {"params": tuned.fc.parameters()}]
both = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
steps = lr_scheduler.StepLR(both, step_size=2, gamma=0.1)
rates, tuned_losses = [], []
for _ in range(3):
    tuned_losses.append(epoch(tuned, x4, y4, both))
    steps.step()
    rates.append([group["lr"] for group in both.param_groups])
wrong = {k: v for k, v in state.items() if not k.startswith("fc.")} | {"extra": torch.zeros(1)}
mismatch = tuned.load_state_dict(wrong, strict=False)
try:
    tuned.load_state_dict(wrong)
    refused = False
except RuntimeError as error:
    refused = "fc.weight" in str(error) and "extra" in str(error)

results = {
    "model": str(model),
    "history": history,
    "best": best_acc,
    "outputs": outputs,
    "trained": trained,
    "running": [model.bn1.running_mean, model.bn1.running_var, model.bn1.num_batches_tracked],
    "keys": list(state),
    "matched": str(keys),
    "same": same,
    "frozen": frozen_losses,
    "unchanged": unchanged,
    "without gradient": without_grad,
    "tuned": tuned_losses,
    "rates": rates,
    "missing": mismatch.missing_keys,
    "unexpected": mismatch.unexpected_keys,
    "refused": refused,
}


def goal():
    assert history[-1][0] < history[0][0] and best_acc > 0.8
    assert tuned_losses[-1] < frozen_losses[0] and same and refused
    assert "fc.weight" not in unchanged and "conv1.weight" in unchanged
