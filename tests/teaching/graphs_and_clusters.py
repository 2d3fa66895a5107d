"""Graphs and clouds of points: a graph convolution, message passing by index_add, k-means, PCA, nearest neighbours."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import Parameter

rng = np.random.default_rng(29)
n, classes = 24, 3
community = np.arange(n) % classes
linked = rng.uniform(size=(n, n)) < np.where(community[:, None] == community, 0.5, 0.04)
src, dst = (torch.from_numpy(e.astype(np.int64)) for e in np.nonzero(np.triu(linked, 1)))
edge_index = torch.stack([torch.cat([src, dst]), torch.cat([dst, src])])
y = torch.from_numpy(community)
adj = torch.zeros(n, n)
adj[edge_index[0], edge_index[1]] = 1.0
x = torch.eye(n)


def normalize(adj):
    adj = adj + torch.eye(adj.size(0))
    rowsum = adj.sum(1)
    d_inv_sqrt = rowsum.pow(-0.5)
    d_inv_sqrt[torch.isinf(d_inv_sqrt)] = 0.0
    return torch.diag(d_inv_sqrt) @ adj @ torch.diag(d_inv_sqrt)


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / self.weight.size(1) ** 0.5
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        output = torch.mm(adj, torch.mm(input, self.weight))
        return output + self.bias if self.bias is not None else output

    def __repr__(self):
        return self.__class__.__name__ + " (" + str(self.in_features) + " -> " + str(self.out_features) + ")"


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass):
        super().__init__()
        self.gc1, self.gc2 = GraphConvolution(nfeat, nhid), GraphConvolution(nhid, nclass)

    def forward(self, x, adj):
        return F.log_softmax(self.gc2(F.relu(self.gc1(x, adj)), adj), dim=1)


model = GCN(n, 8, classes)
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.tensor(rng.uniform(-0.4, 0.4, p.shape)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=5e-4)
adj_norm, idx_train = normalize(adj), torch.arange(0, 9)
losses = []
for _ in range(40):
    optimizer.zero_grad()
    loss_train = F.nll_loss(model(x, adj_norm)[idx_train], y[idx_train])
    loss_train.backward()
    optimizer.step()
    losses.append(loss_train.item())
output = model(x, adj_norm)
accuracy = output.max(1)[1].type_as(y).eq(y).double().sum() / len(y)
print(f"loss {losses[-1]:.4f}, accuracy {accuracy:.3f}")

# The mean of the neighbours: by index_add, by scatter_reduce, by a matrix product.
h = torch.tensor(rng.normal(size=(n, 5)), requires_grad=True)
degree = torch.bincount(edge_index[1], minlength=n).clamp(min=1).unsqueeze(1)
summed = torch.zeros(n, 5, dtype=h.dtype).index_add(0, edge_index[1], h[edge_index[0]])
by_index = summed / degree
where_to = edge_index[1].unsqueeze(1).expand(-1, 5)
by_scatter = torch.zeros(n, 5, dtype=h.dtype).scatter_add(0, where_to, h[edge_index[0]]) / degree
by_product = (adj.double() @ h) / degree
(by_index**2).sum().backward()
gradient = h.grad.clone()

# Attention over neighbours: softmax with what is not linked left out.
e = F.leaky_relu(h.detach()[:, :1] + h.detach()[:, 1:2].T, 0.2)
attention = torch.where(adj > 0, e, -9e15 * torch.ones_like(e)).softmax(dim=1)

# K-means.
points = torch.tensor(np.concatenate([rng.normal(size=(30, 2)) + c for c in ((0, 0), (6, 1), (2, 7))]))
centres = points[[0, 30, 60]].clone()
for _ in range(5):
    assignment = torch.cdist(points, centres).argmin(1)
    counts = torch.bincount(assignment, minlength=3)
    centres = torch.zeros_like(centres).scatter_add_(0, assignment.view(-1, 1).expand(-1, 2), points) / counts[:, None]
inertia = (points - centres[assignment]).square().sum()

# PCA by the eigenvectors of the covariance, and by singular values.
centred = points - points.mean(dim=0, keepdim=True)
eigenvalues, eigenvectors = torch.linalg.eigh(torch.cov(centred.T))
explained = eigenvalues.flip(0) / eigenvalues.sum()
U, S, Vh = torch.linalg.svd(centred, full_matrices=False)
projected = (centred @ Vh[0]).abs()

# The vote of the five nearest others.
distances = torch.cdist(points, points).fill_diagonal_(float("inf"))
nearest = distances.topk(5, largest=False).indices
votes = assignment[nearest].mode(dim=1).values
table = torch.zeros(3, 3, dtype=torch.int64).index_put_((assignment, votes), torch.tensor(1), accumulate=True)

results = {
    "losses": losses,
    "output": output,
    "accuracy": accuracy,
    "means": [by_index, by_scatter, by_product],
    "gradient": gradient,
    "attention": attention,
    "centres": centres,
    "assignment": assignment,
    "inertia": inertia,
    "explained": explained,
    "from singular values": S.square() / (len(points) - 1),
    "projected": projected,
    "nearest": nearest.sort(dim=1).values,
    "votes": votes,
    "table": table,
    "model": str(model),
    "quantiles": torch.quantile(distances[0, 1:], torch.tensor([0.25, 0.5], dtype=torch.float64)),
}


def goal():
    assert accuracy > 0.7 and losses[-1] < losses[0] / 3
    assert torch.allclose(by_index, by_scatter) and torch.allclose(by_index, by_product)
    assert torch.allclose(results["from singular values"], eigenvalues.flip(0)) and table.trace() == 90
