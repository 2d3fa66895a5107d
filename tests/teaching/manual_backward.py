"""An MLP over letters with embeddings and batch normalisation by hand, and its backward pass by hand too."""

import numpy as np
import torch
import torch.nn.functional as F

WORDS = """apple banana cherry date elder fig grape hazel iris juniper kiwi lemon mango nectar olive peach quince
raspberry sloe tomato ugli vanilla walnut yam zest almond basil carrot dill endive fennel garlic hops leek maize
""".split()  # noqa: SIM905
chars = sorted(set("".join(WORDS)))
stoi = {s: i + 1 for i, s in enumerate(chars)} | {".": 0}
vocab_size, block_size, n_embd, n_hidden, batch_size = len(stoi), 3, 5, 24, 32
rng = np.random.default_rng(7)


def build_dataset(words):
    X, Y = [], []
    for w in words:
        context = [0] * block_size
        for ch in w + ".":
            X.append(context)
            Y.append(stoi[ch])
            context = context[1:] + [stoi[ch]]
    return torch.tensor(X), torch.tensor(Y)


def randn(*size):
    return torch.from_numpy(rng.normal(size=size).astype(np.float32))


def cmp(s, dt, t):
    ex = torch.all(dt == t.grad).item()
    app = torch.allclose(dt, t.grad, atol=1e-7)
    maxdiff = (dt - t.grad).abs().max().item()
    print(f"{s:15s} | exact: {ex!s:5s} | approximate: {app!s:5s} | maxdiff: {maxdiff}")
    checks[s] = maxdiff < 1e-6


Xtr, Ytr = build_dataset(WORDS)
C = randn(vocab_size, n_embd)
W1 = randn(n_embd * block_size, n_hidden) * (5 / 3) / ((n_embd * block_size) ** 0.5)
b1 = randn(n_hidden) * 0.1
W2 = randn(n_hidden, vocab_size) * 0.1
b2 = randn(vocab_size) * 0.1
bngain = randn(1, n_hidden) * 0.1 + 1.0
bnbias = randn(1, n_hidden) * 0.1
bnmean_running, bnvar_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
parameters = [C, W1, b1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in parameters))
for p in parameters:
    p.requires_grad = True

checks, n = {}, batch_size
ix = torch.from_numpy(rng.integers(0, Xtr.shape[0], (batch_size,)))
Xb, Yb = Xtr[ix], Ytr[ix]

# Forward in small steps.
emb = C[Xb]
embcat = emb.view(emb.shape[0], -1)
hprebn = embcat @ W1 + b1
bnmeani = 1 / n * hprebn.sum(0, keepdim=True)
bndiff = hprebn - bnmeani
bndiff2 = bndiff**2
bnvar = 1 / (n - 1) * (bndiff2).sum(0, keepdim=True)
bnvar_inv = (bnvar + 1e-5) ** -0.5
bnraw = bndiff * bnvar_inv
hpreact = bngain * bnraw + bnbias
h = torch.tanh(hpreact)
logits = h @ W2 + b2
logit_maxes = logits.max(1, keepdim=True).values
norm_logits = logits - logit_maxes
counts = norm_logits.exp()
counts_sum = counts.sum(1, keepdims=True)
counts_sum_inv = counts_sum**-1
probs = counts * counts_sum_inv
logprobs = probs.log()
loss = -logprobs[range(n), Yb].mean()
inner = [logprobs, probs, counts, counts_sum, counts_sum_inv, norm_logits, logit_maxes, logits, h, hpreact, bnraw]
inner += [bnvar_inv, bnvar, bndiff2, bndiff, hprebn, bnmeani, embcat, emb]
for t in inner:
    t.retain_grad()
loss.backward()

# Backward by hand, one line per line above.
dlogprobs = torch.zeros_like(logprobs)
dlogprobs[range(n), Yb] = -1.0 / n
dprobs = (1.0 / probs) * dlogprobs
dcounts_sum_inv = (counts * dprobs).sum(1, keepdim=True)
dcounts = counts_sum_inv * dprobs
dcounts_sum = (-(counts_sum**-2)) * dcounts_sum_inv
dcounts += torch.ones_like(counts) * dcounts_sum
dnorm_logits = counts * dcounts
dlogits = dnorm_logits.clone()
dlogit_maxes = (-dnorm_logits).sum(1, keepdim=True)
dlogits += F.one_hot(logits.max(1).indices, num_classes=logits.shape[1]) * dlogit_maxes
dh = dlogits @ W2.T
dW2 = h.T @ dlogits
db2 = dlogits.sum(0)
dhpreact = (1.0 - h**2) * dh
dbngain = (bnraw * dhpreact).sum(0, keepdim=True)
dbnraw = bngain * dhpreact
dbnbias = dhpreact.sum(0, keepdim=True)
dbndiff = bnvar_inv * dbnraw
dbnvar_inv = (bndiff * dbnraw).sum(0, keepdim=True)
dbnvar = (-0.5 * (bnvar + 1e-5) ** -1.5) * dbnvar_inv
dbndiff2 = (1.0 / (n - 1)) * torch.ones_like(bndiff2) * dbnvar
dbndiff += (2 * bndiff) * dbndiff2
dhprebn = dbndiff.clone()
dbnmeani = (-dbndiff).sum(0, keepdim=True)
dhprebn += 1.0 / n * (torch.ones_like(hprebn) * dbnmeani)
dembcat = dhprebn @ W1.T
dW1 = embcat.T @ dhprebn
db1 = dhprebn.sum(0)
demb = dembcat.view(emb.shape)
dC = torch.zeros_like(C)
for k in range(Xb.shape[0]):
    for j in range(Xb.shape[1]):
        dC[Xb[k, j]] += demb[k, j]

names = "logprobs probs counts_sum_inv counts_sum counts norm_logits logit_maxes logits h W2 b2 hpreact bngain bnbias"
names += " bnraw bnvar_inv bnvar bndiff2 bndiff bnmeani hprebn embcat W1 b1 emb C"
for name in names.split():
    cmp(name, globals()["d" + name], globals()[name])

# The two shortcuts.
fast_loss = F.cross_entropy(logits, Yb)
dlogits = F.softmax(logits, 1)
dlogits[range(n), Yb] -= 1
dlogits /= n
cmp("cross-entropy", dlogits, logits)
dhprebn = bngain * bnvar_inv / n * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))
cmp("batch norm", dhprebn, hprebn)

# Training with it, without autograd.
lossi = []
with torch.no_grad():
    for step in range(120):
        ix = torch.from_numpy(rng.integers(0, Xtr.shape[0], (batch_size,)))
        Xb, Yb = Xtr[ix], Ytr[ix]
        embcat = C[Xb].view(n, -1)
        hprebn = embcat @ W1 + b1
        bnmean, bnvar = hprebn.mean(0, keepdim=True), hprebn.var(0, keepdim=True, unbiased=True)
        bnvar_inv = (bnvar + 1e-5) ** -0.5
        bnraw = (hprebn - bnmean) * bnvar_inv
        h = torch.tanh(bngain * bnraw + bnbias)
        logits = h @ W2 + b2
        lossi.append(F.cross_entropy(logits, Yb).item())
        bnmean_running = 0.95 * bnmean_running + 0.05 * bnmean
        bnvar_running = 0.95 * bnvar_running + 0.05 * bnvar
        dlogits = F.softmax(logits, dim=1)
        dlogits[torch.arange(n), Yb] -= 1
        dlogits /= n
        dW2, db2 = h.T @ dlogits, dlogits.sum(0)
        dhpreact = (1 - h.square()) * (dlogits @ W2.T)
        dbngain, dbnbias = (bnraw * dhpreact).sum(0, keepdim=True), dhpreact.sum(0, keepdim=True)
        centred = n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0)
        dhprebn = bngain * bnvar_inv / n * centred
        dW1, db1 = embcat.T @ dhprebn, dhprebn.sum(0)
        demb = (dhprebn @ W1.T).view(n, block_size, n_embd)
        dC = torch.zeros_like(C).index_add_(0, Xb.view(-1), demb.view(-1, n_embd))
        lr = 0.2 if step < 90 else 0.02
        for p, grad in zip(parameters, [dC, dW1, db1, dW2, db2, dbngain, dbnbias], strict=True):
            p.data += -lr * grad
    hprebn = C[Xtr].view(-1, n_embd * block_size) @ W1 + b1
    hpreact = bngain * (hprebn - bnmean_running) * (bnvar_running + 1e-5) ** -0.5 + bnbias
    final = F.cross_entropy(torch.tanh(hpreact) @ W2 + b2, Ytr)
averages = torch.tensor(lossi).view(-1, 30).mean(1)
print(averages, f"{final=}")

results = {
    "loss": loss,
    "fast loss": fast_loss,
    "checks": list(checks.values()),
    "gradients": [p.grad for p in parameters],
    "averages": averages,
    "final": final,
    "running": [bnmean_running, bnvar_running],
}


def goal():
    assert all(checks.values()), [name for name, fine in checks.items() if not fine]
    assert averages[-1] < averages[0] - 0.3 and abs(loss.item() - fast_loss.item()) < 1e-5
