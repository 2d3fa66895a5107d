"""Logistic regression with a DataLoader: two clouds, a line between them, accuracy and a confusion matrix."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, random_split

rng = np.random.default_rng(3)


class Clouds(Dataset):
    """Two normal clouds in the plane."""

    def __init__(self, n):
        self.labels = np.arange(n) % 2
        centres = np.array([[-1.0, -1.0], [1.0, 1.5]])
        self.points = (centres[self.labels] + rng.normal(size=(n, 2))).astype(np.float32)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.from_numpy(self.points[index]), self.labels[index]


class LogisticRegression(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x):
        return self.linear(x).squeeze(1)


dataset = Clouds(400)
loader = DataLoader(dataset, batch_size=32, shuffle=False)
sizes = [len(part) for part in random_split(dataset, [0.8, 0.2])]
model = LogisticRegression(2)
with torch.no_grad():
    model.linear.weight.copy_(torch.tensor([[0.3, -0.2]]))
    model.linear.bias.zero_()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)


def evaluate():
    model.eval()
    correct = 0
    confusion = torch.zeros(2, 2, dtype=torch.long)
    with torch.no_grad():
        for points, labels in loader:
            predicted = (torch.sigmoid(model(points)) > 0.5).long()
            correct += (predicted == labels).sum().item()
            for t, p in zip(labels, predicted, strict=True):
                confusion[t, p] += 1
    return correct / len(dataset), confusion


start, _ = evaluate()
history = []
for epoch in range(10):
    model.train()
    running_loss = 0.0
    for points, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(points), labels.float())
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * points.size(0)
    history.append(running_loss / len(dataset))
    print(f"Epoch [{epoch + 1}/10], Loss: {history[-1]:.4f}")
accuracy, confusion = evaluate()
print(f"accuracy: {100 * accuracy:.1f} %\n{confusion}")

# The same loss with two logits and softmax: logits (0, z).
z = model(torch.tensor(dataset.points)).detach()
two = torch.stack([torch.zeros_like(z), z], dim=1)
targets = torch.tensor(dataset.labels)
twin = F.cross_entropy(two, targets)

results = {
    "sizes": sizes,
    "history": history,
    "weight": model.linear.weight.detach(),
    "bias": model.linear.bias.detach(),
    "accuracy": accuracy,
    "confusion": confusion,
    "cross entropy": twin,
    "binary": criterion(z, targets.float()),
}


def goal():
    assert accuracy > 0.9 > start and history[-1] < history[0]
    assert abs(twin.item() - results["binary"].item()) < 1e-5
