"""Films and people: ratings as products of embeddings with biases, trained in batches, then by alternating squares."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

rng = np.random.default_rng(12)
n_users, n_items, rank = 60, 40, 2
taste, style = rng.normal(size=(n_users, rank)), rng.normal(size=(n_items, rank))
ratings = np.clip(3 + taste @ style.T * 0.6 + rng.normal(scale=0.1, size=(n_users, n_items)), 1, 5)
users, items = np.nonzero(rng.uniform(size=ratings.shape) < 0.6)
order = rng.permutation(len(users))
users, items = torch.LongTensor(users[order]), torch.LongTensor(items[order])
scores = torch.FloatTensor(ratings)[users, items]
cut = int(0.8 * len(scores))
train_set = TensorDataset(users[:cut], items[:cut], scores[:cut])
test = users[cut:], items[cut:], scores[cut:]
parts = random_split(train_set, [cut - 50, 50], generator=torch.Generator().manual_seed(42))


class MatrixFactorization(nn.Module):
    def __init__(self, n_users, n_items, n_factors=4, y_range=(0.5, 5.5)):
        super().__init__()
        self.user_factors = nn.Embedding(n_users, n_factors)
        self.item_factors = nn.Embedding(n_items, n_factors)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.y_range = y_range
        for table in self.children():
            nn.init.normal_(table.weight, 0.0, 0.05)

    def forward(self, user, item):
        dot = (self.user_factors(user) * self.item_factors(item)).sum(dim=1, keepdim=True)
        res = dot + self.user_bias(user) + self.item_bias(item)
        low, high = self.y_range
        return (torch.sigmoid(res) * (high - low) + low).squeeze(1)


model = MatrixFactorization(n_users, n_items)
small = all(table.weight.abs().max() < 0.4 for table in model.children())
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.tensor(rng.normal(scale=0.1, size=p.shape), dtype=torch.float32))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-3)
loss_fn = nn.MSELoss()


def rmse(model):
    with torch.no_grad():
        return torch.sqrt(loss_fn(model(*test[:2]), test[2])).item()


start, history = rmse(model), []
for _ in range(12):
    losses = []
    for user, item, score in DataLoader(train_set, batch_size=64):
        loss = loss_fn(model(user, item), score)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history.append([float(np.mean(losses)), rmse(model)])
print(f"RMSE {start:.3f} -> {history[-1][1]:.3f}")

# Every film for one person, the best first.
with torch.no_grad():
    person = torch.full((n_items,), 7, dtype=torch.long)
    best = torch.argsort(model(person, torch.arange(n_items)), descending=True)[:5]

# Alternating least squares, each row by its normal equations.
R = torch.zeros(n_users, n_items)
mask = torch.zeros(n_users, n_items, dtype=torch.bool)
R[users[:cut], items[:cut]] = scores[:cut] - scores[:cut].mean()
mask[users[:cut], items[:cut]] = True
U, V = torch.tensor(rng.normal(size=(n_users, rank)), dtype=torch.float), torch.zeros(n_items, rank)
errors = []
for _ in range(6):
    for A, B, rows, seen in ((V, U, R.T, mask.T), (U, V, R, mask)):
        for k in range(A.shape[0]):
            chosen = B[seen[k]]
            gram = chosen.T @ chosen + 0.3 * torch.eye(rank)
            A[k] = torch.linalg.solve(gram, chosen.T @ rows[k][seen[k]])
    errors.append(((U @ V.T - R)[mask] ** 2).mean().sqrt().item())

# The best approximation of a full matrix is its singular vectors'.
centred = torch.tensor(ratings - ratings.mean(), dtype=torch.float64)
left, sizes, right = torch.linalg.svd(centred, full_matrices=False)
low = left[:, :rank] * sizes[:rank] @ right[:rank]

results = {
    "history": history,
    "factors": model.user_factors.weight.detach()[:2],
    "best": best,
    "parts": [len(part) for part in parts],
    "errors": errors,
    "product": (U @ V.T)[:3],
    "singular values": sizes,
    "left over": torch.linalg.norm(centred - low),
    "energy": (sizes[:rank].square().sum() / sizes.square().sum()).item(),
    "mask": mask.sum(),
    "model": str(model),
}


def goal():
    assert small and history[-1][1] < start * 0.75 and errors[-1] < errors[0]
    np.testing.assert_allclose(results["left over"].item(), sizes[rank:].square().sum().sqrt().item())
