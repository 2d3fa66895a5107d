"""A first tour of tensors: making, indexing, shapes, broadcasting, printing, NumPy's memory, types, in place."""

import numpy as np
import torch

data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
np_array = np.array(data)
x_np = torch.from_numpy(np_array)
x_ones, x_zeros = torch.ones_like(x_data), torch.zeros_like(x_data, dtype=torch.float)
texts = [f"Ones Tensor: \n {x_ones} \n", str(x_zeros), repr(torch.eye(3)), str(torch.arange(12).reshape(3, 4))]
texts += [str(torch.tensor([1.0, 1000.0, 1e-4])), str(torch.tensor([1e8, 1.0])), str(torch.tensor(3.14159))]
texts += [str(torch.tensor([True, False])), str(torch.linspace(0, 1, 5)), str(torch.zeros(0)), str(torch.ones(2, 1, 2))]
texts += [str(torch.arange(2000.0)), str(torch.tensor([0.1, float("nan"), float("inf")])), str(torch.ones(2).double())]
texts += [
    str(torch.ones(1, requires_grad=True)),
    str(torch.ones(3).shape),
    str(torch.ones(2, 3).size()),
    str(x_np.dtype),
]
texts += [f"{torch.tensor(2.5):.2f}", f"{torch.tensor(7):d}", f"{torch.tensor(0.123456789).item():.4f}"]
texts += [str(torch.tensor([-1.5, 2.25])), str(torch.tensor([[0.001, 100.0]])), str(torch.rand(2, 3).shape)]
texts += [f"Shape of tensor: {x_zeros.shape}", f"Datatype of tensor: {x_zeros.dtype}", f"Device: {x_zeros.device}"]

tensor = torch.arange(16.0).reshape(4, 4)
rows = [
    tensor[0],
    tensor[:, 0],
    tensor[..., -1],
    tensor[1:3, ::2],
    tensor[[0, 2]],
    tensor[tensor > 7],
    tensor[None].shape,
]
rows += [tensor[torch.tensor([0, 1]), torch.tensor([1, 2])], tensor[-1, -2].item(), tensor[tensor.sum(1) > 20, 1:]]
tensor[:, 1] = 0
tensor[tensor > 13] = -1
tensor[2, ...] += torch.tensor([1.0, 2.0, 3.0, 4.0])
t1 = torch.cat([tensor, tensor, tensor], dim=1)
y1, y2, y3 = tensor @ tensor.T, tensor.matmul(tensor.T), torch.zeros(4, 4)
y3 += torch.matmul(tensor, tensor.T)
z = tensor * tensor
agg = tensor.sum()
agg_item = agg.item()
tensor.add_(5)

# Memory that NumPy and a tensor share; copies do not.
t = torch.ones(5)
n = t.numpy()
t.add_(1)
np.add(n, 1, out=n)
copied = torch.tensor(n)
n[0] = 0
memory = [t, copied, torch.as_tensor(n).numpy() is n or np.shares_memory(torch.as_tensor(n).numpy(), n)]

# Broadcasting from the right.
a, b = torch.arange(3).reshape((3, 1)), torch.arange(2).reshape((1, 2))
wide = [a + b, (a.float() - b).abs(), torch.ones(5, 1, 4, 1).add(torch.ones(3, 1, 1)).shape]
try:
    torch.ones(2, 3) + torch.ones(3, 2)
    refused = False
except RuntimeError:
    refused = True

# Shapes.
x = torch.arange(24)
shapes = [
    *(x.view(2, 3, 4), x.view(-1, 8), x.view(2, 3, 4).permute(2, 0, 1), x.view(4, 6).t(), x.view(4, 6).T.contiguous()),
    *(x.reshape(2, -1)[:, :3].flatten(), x.view(2, 3, 4).transpose(1, 2).reshape(2, 12), x.unsqueeze(0).unsqueeze(-1)),
    *(torch.stack([x[:3], x[3:6]], dim=1), torch.ones(3, 1).expand(3, 2), torch.arange(3).repeat(2, 2), x[:6].chunk(4)),
    *(torch.split(x, [4, 20]), x.view(4, 6).flip(0), torch.roll(x[:5], 2), x.view(4, 6).narrow(1, 2, 2), x[::5]),
    *(torch.vstack((x[:2], x[2:4])), torch.hstack((x[:2], x[2:4])), x[:4].view(2, 2).squeeze(), x.view(2, 12).unbind()),
    *(
        torch.meshgrid(x[:2], x[:3], indexing="ij"),
        torch.tril(x.view(4, 6)),
        x[:9].view(3, 3).diagonal(),
        x.view(2, 3, 4).mT,
    ),
    *(
        torch.arange(5).unfold(0, 3, 1),
        x.view(4, 6).movedim(0, 1),
        torch.tile(x[:2], (2,)),
        x.view(4, 6).unflatten(1, (2, 3)),
    ),
]

# Types.
types = [torch.tensor([1, 2]) / 2, torch.tensor([7, -7]) // 2, torch.tensor([7, -7]) % 4, torch.tensor([1]) + 0.5]
types += [
    torch.tensor([1, 2]) ** 2,
    torch.tensor([True, True]).sum(),
    torch.tensor([1.7, -1.7]).long(),
    torch.ones(2).int(),
]
types += [
    torch.tensor([0, 3]).bool(),
    torch.tensor([1.0], dtype=torch.float64) + torch.ones(1),
    torch.ones(1).type_as(x),
]
types += [
    torch.tensor(3).float().mean(),
    torch.arange(0, 1, 0.25),
    torch.round(torch.tensor([0.5, 1.5, 2.5])),
    ~(x[:3] > 1),
]
types += [
    torch.tensor([1, 2, 3]).float().std(),
    torch.maximum(x[:2], x[1:3]),
    torch.tensor([5]).type(torch.FloatTensor),
]

# Reductions and searches.
m = torch.tensor([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]])
found = [m.max(), *m.max(dim=1), m.argmin(dim=0), *m.sort(dim=1, descending=True), *torch.topk(m, 2), m.mean((0, 1))]
found += [
    m.sum(dim=0, keepdim=True),
    m.prod(),
    m.var(),
    m.var(unbiased=False),
    m.cumsum(1),
    m.norm(),
    m.norm(p=1, dim=1),
]
found += [
    torch.where(m > 2, m, torch.zeros(())),
    (m > 2).nonzero(),
    torch.any(m > 5),
    m.gt(2).all(1),
    m.median(),
    m.clamp(2, 4),
]
found += [
    torch.unique(torch.tensor([3, 1, 3])),
    torch.bincount(torch.tensor([0, 2, 2])),
    torch.logsumexp(m, 1),
    m.min(0)[0],
]
found += [
    torch.einsum("ij,kj->ik", m, m),
    torch.outer(m[0], m[1]),
    torch.dot(m[0], m[1]),
    torch.cross(m[0], m[1], dim=0),
]
found += [
    m.gather(1, torch.tensor([[0], [2]])),
    torch.zeros(2, 3).scatter_(1, torch.tensor([[1], [2]]), 1.0),
    m.masked_fill(m < 3, 0),
]

results = {
    "texts": texts,
    "rows": rows,
    "changed": [tensor, t1, y1, y2, y3, z, agg_item],
    "memory": memory,
    "broadcast": wide,
    "refused": refused,
    "shapes": shapes,
    "types": types,
    "found": found,
    "iteration": [row.sum().item() for row in m],
    "length": len(m),
    "lists": m.tolist(),
    "numbers": [float(m[0, 0]), int(x[3]), bool(m[0, 0] > 0)],
    "random": [
        tuple(torch.randn(2, 2).shape),
        tuple(torch.randint(0, 10, (3,)).shape),
        tuple(torch.randperm(4).sort()[0].tolist()),
    ],
    "equal": [torch.equal(y1, y2), torch.allclose(y1, y3), 3 in x],
    "strides": [x.view(4, 6).stride(), x.view(4, 6).t().stride(), x.view(4, 6).t().is_contiguous()],
}


def goal():
    assert refused and memory[2] and memory[0][0] == 0 and memory[1][0] == 3
    assert torch.equal(y1, y2) and results["equal"] == [True, True, True]
