"""Names letter by letter: bigrams by counting, and the same model found by gradient descent on one matrix."""

import numpy as np
import torch
import torch.nn.functional as F

NAMES = """anna bela clara dora emma ella flora greta hanna ida jana klara lena mara nora olga paula rosa sara tina ulla
vera wanda zora adam bert carl dan emil finn georg hans ivan jan karl lars max nils otto paul rolf sven tom udo viktor
willi armin bernd clemens dieter edgar franz gustav hugo ingo jonas kurt leo martin norbert oskar peter robert stefan
""".split()  # noqa: SIM905
chars = sorted(set("".join(NAMES)))
stoi = {s: i + 1 for i, s in enumerate(chars)}
stoi["."] = 0
itos = {i: s for s, i in stoi.items()}
V = len(stoi)

# Counting.
N = torch.zeros((V, V), dtype=torch.int32)
for w in NAMES:
    chs = ["."] + list(w) + ["."]
    for ch1, ch2 in zip(chs, chs[1:]):  # noqa: B905, RUF007
        N[stoi[ch1], stoi[ch2]] += 1
P = (N + 1).float()
P /= P.sum(1, keepdim=True)

g = torch.Generator().manual_seed(2147483647)
samples = []
for _ in range(5):
    out, ix = [], 0
    while len(out) < 30:
        ix = torch.multinomial(P[ix], num_samples=1, replacement=True, generator=g).item()
        if ix == 0:
            break
        out.append(itos[ix])
    samples.append("".join(out))
print(samples)

log_likelihood, n = 0.0, 0
for w in NAMES:
    for ch1, ch2 in zip("." + w, w + ".", strict=True):
        log_likelihood += torch.log(P[stoi[ch1], stoi[ch2]])
        n += 1
counted = -log_likelihood / n
print(f"{log_likelihood=}\n{counted=}")

# Gradient descent on the logits.
xs, ys = [], []
for w in NAMES:
    for ch1, ch2 in zip("." + w, w + ".", strict=True):
        xs.append(stoi[ch1])
        ys.append(stoi[ch2])
xs, ys = torch.tensor(xs), torch.tensor(ys)
num = xs.nelement()
W = torch.tensor(np.random.default_rng(4).normal(size=(V, V)).astype(np.float32), requires_grad=True)
losses = []
for _ in range(60):
    xenc = F.one_hot(xs, num_classes=V).float()
    logits = xenc @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(num), ys].log().mean() + 0.002 * (W**2).mean()
    W.grad = None
    loss.backward()
    W.data += -30 * W.grad
    losses.append(loss.item())
print(f"after {len(losses)} steps {losses[-1]:.4f}, counted {counted.item():.4f}")

# Drawn by their probabilities, letters come as often as they should.
p = torch.tensor([0.6, 0.3, 0.1])
draws = torch.multinomial(p, 3000, replacement=True, generator=torch.Generator().manual_seed(1))
shares = torch.bincount(draws, minlength=3) / draws.shape[0]

results = {
    "vocabulary": V,
    "counts": N,
    "P": P,
    "rows": bool(torch.allclose(P.sum(1), torch.ones(V))),
    "counted": counted,
    "losses": losses,
    "W": W.detach()[:3],
    "probs": probs.detach()[:5],
    "likeliest": [itos[i] for i in P.argmax(1).tolist()],
    "most common": itos[N.argmax().item() // V] + itos[N.argmax().item() % V],
    "samples end": all(0 < len(s) <= 30 or s == "" for s in samples),
    "one-hot": xenc[:4],
}


def goal():
    assert losses[-1] < counted.item() + 0.1 < losses[0]
    assert (shares - p).abs().max() < 0.04 and all(set(s) <= set(chars) for s in samples)
