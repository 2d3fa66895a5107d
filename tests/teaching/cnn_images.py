"""A convolutional network on small images: Dataset, DataLoader, training loop, evaluation, a checkpoint."""

import os
import tempfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
rng = np.random.default_rng(11)
CLASSES = ("bar", "cross", "ring", "corner")


def drawing(kind):
    """A 12 x 12 image of the kind, shifted by a pixel or two, with noise."""
    image = np.zeros((12, 12), np.float32)
    r, c = rng.integers(0, 3, 2)
    if kind == 0:
        image[r + 1 : r + 9, c + 4 : c + 6] = 1
    elif kind == 1:
        image[r + 1 : r + 9, c + 4] = image[r + 4, c + 1 : c + 9] = 1
    elif kind == 2:
        image[r + 1 : r + 9, c + 1 : c + 9] = 1
        image[r + 2 : r + 8, c + 2 : c + 8] = 0
    else:
        image[r + 1 : r + 9, c + 1] = image[r + 8, c + 1 : c + 9] = 1
    return image + rng.normal(scale=0.3, size=image.shape).astype(np.float32)


class Drawings(Dataset):
    def __init__(self, n, transform=None):
        self.targets = torch.from_numpy(rng.permutation(np.arange(n) % len(CLASSES)))
        self.data = torch.from_numpy(np.stack([drawing(k) for k in self.targets.tolist()]))
        self.transform = transform

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, idx):
        image, label = self.data[idx].unsqueeze(0), int(self.targets[idx])
        return (self.transform(image) if self.transform else image), label


class ConvNet(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(6, 12, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.dropout = nn.Dropout(p=0.0)
        self.fc1 = nn.Linear(12 * 2 * 2, 32)
        self.fc2 = nn.Linear(32, num_classes)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, self.num_flat_features(x))
        x = self.dropout(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)

    def num_flat_features(self, x):
        return int(np.prod(x.size()[1:]))


def normalize(image):
    return (image - 0.2) / 0.5


full = Drawings(320, transform=normalize)
train_set, test_set = Subset(full, range(256)), Subset(full, list(range(256, 320)))
train_loader = DataLoader(train_set, batch_size=32)
test_loader = DataLoader(test_set, batch_size=100, shuffle=False, num_workers=0)
shuffled = DataLoader(train_set, batch_size=30, shuffle=True, drop_last=True)

net = ConvNet().to(device)
with torch.no_grad():
    for p in net.parameters():
        fan_in = p[0].numel() if p.dim() > 1 else 1
        p.copy_(torch.tensor(rng.normal(scale=fan_in**-0.5 if p.dim() > 1 else 0.0, size=p.shape)))
print(net)
count = sum(p.numel() for p in net.parameters() if p.requires_grad)
print(f"{count:,} parameters")
optimizer = optim.SGD(net.parameters(), lr=0.02, momentum=0.9)


def train(epoch):
    net.train()
    running, losses = 0.0, []
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = net(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(data)
        losses.append(loss.item())
        if batch_idx % 4 == 0:
            seen = batch_idx * len(data)
            print(f"Train Epoch: {epoch} [{seen}/{len(train_loader.dataset)}]\tLoss: {loss.item():.6f}")
    return running / len(train_loader.dataset), losses


@torch.no_grad()
def test():
    net.eval()
    test_loss, correct = 0, 0
    for data, target in test_loader:
        output = net(data.to(device))
        test_loss += F.nll_loss(output, target, reduction="sum").item()
        pred = output.argmax(dim=1, keepdim=True)
        correct += pred.eq(target.view_as(pred)).sum().item()
    return test_loss / len(test_loader.dataset), correct / len(test_loader.dataset)


history, first = [], test()
for epoch in range(1, 5):
    train_loss, losses = train(epoch)
    history.append([train_loss, *test()])
    print(f"Average loss: {history[-1][1]:.4f}, Accuracy: {100.0 * history[-1][2]:.0f}%")

correct_pred = dict.fromkeys(CLASSES, 0)
with torch.no_grad():
    for images, labels in test_loader:
        _, predictions = torch.max(net(images), 1)
        for label, prediction in zip(labels, predictions, strict=True):
            if label == prediction:
                correct_pred[CLASSES[label]] += 1

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "net.pt")
    torch.save({"epoch": 4, "model": net.state_dict(), "optimizer": optimizer.state_dict()}, path)
    checkpoint = torch.load(path, weights_only=True)
copy = ConvNet()
print(copy.load_state_dict(checkpoint["model"]))
copy.eval()
images, labels = next(iter(test_loader))
probabilities = torch.exp(copy(images))

results = {
    "model": str(net),
    "parameters": count,
    "names": [name for name, _ in net.named_parameters()],
    "shapes": [tuple(p.shape) for p in net.state_dict().values()],
    "first batch": next(iter(train_loader))[0],
    "batches": [len(train_loader), len(test_loader), len(shuffled)],
    "all once": len({tuple(x.flatten().tolist()) for x in torch.cat([x for x, _ in shuffled])}),
    "history": history,
    "losses": losses,
    "per class": list(correct_pred.values()),
    "restored": probabilities,
    "same": bool((probabilities.log() - net(images)).abs().max() < 1e-5),
    "epoch": checkpoint["epoch"],
    "momentum": checkpoint["optimizer"]["param_groups"][0]["momentum"],
    "pairs": len(TensorDataset(images, labels)),
    "right": (probabilities.argmax(1) == labels).float().mean(),
}


def goal():
    assert first[1] < 0.6 and history[-1][2] > 0.9 and history[-1][0] < history[0][0]
    assert results["same"] and results["all once"] == 8 * 30
