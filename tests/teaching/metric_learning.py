"""Networks that learn distances: a Siamese pair with a contrastive loss, triplets, and a classifier by neighbours."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

rng = np.random.default_rng(44)
labels = torch.from_numpy(np.arange(120) % 4)
centres = rng.normal(size=(4, 10)) * 0.8
points = torch.from_numpy((centres[labels.numpy()] + rng.normal(size=(120, 10))).astype(np.float32))


class Pairs(Dataset):
    def __init__(self, n):
        first, second = rng.integers(0, 120, n), rng.integers(0, 120, n)
        self.pairs = list(zip(first.tolist(), second.tolist(), strict=True))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, k):
        i, j = self.pairs[k]
        return {"a": points[i], "b": points[j], "same": (labels[i] == labels[j]).float()}


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, same):
        distance = F.pairwise_distance(a, b)
        return torch.mean(same * distance.pow(2) + (1 - same) * torch.clamp(self.margin - distance, min=0.0).pow(2))


def make_embedding():
    """No bias at the end: distances do not depend on it."""
    net = nn.Sequential(nn.Linear(10, 16), nn.PReLU(), nn.Linear(16, 4, bias=False))
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for p in net.parameters():
            if p.numel() > 1:
                p.copy_(torch.tensor(generator.normal(scale=0.3, size=p.shape)))
    return net


def neighbours(net):
    """The share of points whose nearest other point has their label."""
    with torch.no_grad():
        z = net(points)
        distances = torch.cdist(z, z)
        distances[torch.arange(120), torch.arange(120)] = float("inf")
        return (labels[distances.argmin(dim=1)] == labels).float().mean().item()


start = neighbours(nn.Identity())
siamese = make_embedding()
criterion, optimizer = ContrastiveLoss(), torch.optim.Adam(siamese.parameters(), lr=0.01)
contrastive = []
for _ in range(15):
    for batch in DataLoader(Pairs(256), batch_size=64):
        optimizer.zero_grad()
        loss = criterion(siamese(batch["a"]), siamese(batch["b"]), batch["same"])
        loss.backward()
        optimizer.step()
        contrastive.append(loss.item())

triplet_net = make_embedding()
triplet_loss, optimizer = nn.TripletMarginLoss(margin=1.0, p=2), torch.optim.Adam(triplet_net.parameters(), lr=0.02)
triplets = []
for _ in range(60):
    anchor = torch.from_numpy(rng.integers(0, 120, 64))
    same_label = labels.view(-1, 1) == labels[anchor]
    positive, negative = [], []
    for column in same_label.T:
        positive.append(torch.nonzero(column).squeeze(1)[rng.integers(0, 30)])
        negative.append(torch.where(~column)[0][int(rng.integers(0, 90))])
    positive, negative = torch.stack(positive), torch.stack(negative)
    loss = triplet_loss(*(triplet_net(points[index]) for index in (anchor, positive, negative)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    triplets.append(loss.item())

# Two views of each point find each other in a batch: the loss of contrastive pretraining.
z1, z2 = F.normalize(triplet_net(points[:16]), dim=1), F.normalize(triplet_net(points[:16] + 0.1), dim=-1)
z = torch.cat([z1, z2])
similarity = torch.mm(z, z.t().contiguous()) / 0.5
similarity = similarity.masked_fill(torch.eye(32, dtype=torch.bool), -1e9)
targets = torch.arange(32).roll(16)
info_nce = F.cross_entropy(similarity, targets)
found = (similarity.argmax(1) == targets).float().mean()
info_nce.backward()

a, b = triplet_net(points[:6]).detach(), triplet_net(points[6:12]).detach()
sign = torch.tensor([1.0, -1, 1, -1, 1, -1])
sampler = WeightedRandomSampler([3.0, 1.0, 1.0, 1.0], num_samples=4000, replacement=True)
drawn = torch.bincount(torch.tensor(list(sampler)), minlength=4) / 4000

results = {
    "contrastive": contrastive,
    "triplets": triplets,
    "neighbours": [start, neighbours(siamese), neighbours(triplet_net)],
    "slope": siamese[1].weight.detach(),
    "NCE": info_nce,
    "found": found,
    "gradient": triplet_net[0].weight.grad[0],
    "cosine loss": F.cosine_embedding_loss(a, b, sign, margin=0.2),
    "ranking": F.margin_ranking_loss(a[:, 0], b[:, 0], sign, margin=0.1),
    "hinge": nn.HingeEmbeddingLoss()(F.pairwise_distance(a, b), sign),
    "distances": torch.cdist(a, b, p=1),
    "similarities": nn.CosineSimilarity(dim=1, eps=1e-6)(a, b),
    "closest": torch.cdist(a, b).topk(2, largest=False).indices,
    "model": str(siamese) + str(triplet_loss),
}


def goal():
    assert results["neighbours"][1] > start < results["neighbours"][2]
    assert np.mean(contrastive[-4:]) < np.mean(contrastive[:4]) and np.mean(triplets[-4:]) < np.mean(triplets[:4])
    assert abs(drawn[0].item() - 0.5) < 0.05
