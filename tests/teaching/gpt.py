"""A small GPT on letters: causal self-attention, blocks with skip connections, training and generation."""

import math

import numpy as np
import torch
import torch.nn as nn
from torch.nn import functional as F

TEXT = "the cat sat on the mat. the dog sat on the log. the rat ran at the cat. the hog ate the bran. " * 6
chars = sorted(list(set(TEXT)))  # noqa: C414
vocab_size = len(chars)
stoi = {ch: i for i, ch in enumerate(chars)}
itos = {i: ch for i, ch in enumerate(chars)}  # noqa: C416
encode = lambda s: [stoi[c] for c in s]  # noqa: E731
decode = lambda ids: "".join([itos[i] for i in ids])  # noqa: E731

batch_size, block_size, n_embd, n_head, n_layer, dropout = 8, 16, 24, 3, 2, 0.0
device = "cuda" if torch.cuda.is_available() else "cpu"
rng = np.random.default_rng(1337)
data = torch.tensor(encode(TEXT), dtype=torch.long)
n = int(0.9 * len(data))
train_data, val_data = data[:n], data[n:]


def get_batch(split):
    source = train_data if split == "train" else val_data
    ix = torch.from_numpy(rng.integers(0, len(source) - block_size, (batch_size,)))
    x = torch.stack([source[i : i + block_size] for i in ix])
    y = torch.stack([source[i + 1 : i + block_size + 1] for i in ix])
    return x.to(device), y.to(device)


class Head(nn.Module):
    def __init__(self, head_size):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(block_size, block_size)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        B, T, C = x.shape  # noqa: RUF059
        k, q = self.key(x), self.query(x)
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        wei = self.dropout(F.softmax(wei, dim=-1))
        return wei @ self.value(x)


class MultiHeadAttention(nn.Module):
    def __init__(self, num_heads, head_size):
        super().__init__()
        self.heads = nn.ModuleList([Head(head_size) for _ in range(num_heads)])
        self.proj = nn.Linear(head_size * num_heads, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        out = torch.cat([h(x) for h in self.heads], dim=-1)
        return self.dropout(self.proj(out))


class FeedForward(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd), nn.Dropout(dropout)
        )

    def forward(self, x):
        return self.net(x)


class Block(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.sa = MultiHeadAttention(n_head, n_embd // n_head)
        self.ffwd = FeedForward(n_embd)
        self.ln1 = nn.LayerNorm(n_embd)
        self.ln2 = nn.LayerNorm(n_embd)

    def forward(self, x):
        x = x + self.sa(self.ln1(x))
        x = x + self.ffwd(self.ln2(x))
        return x


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, n_embd)
        self.position_embedding_table = nn.Embedding(block_size, n_embd)
        self.blocks = nn.Sequential(*[Block(n_embd, n_head=n_head) for _ in range(n_layer)])
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size)
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, idx, targets=None):
        B, T = idx.shape
        tok_emb = self.token_embedding_table(idx)
        pos_emb = self.position_embedding_table(torch.arange(T, device=device))
        x = self.ln_f(self.blocks(tok_emb + pos_emb))
        logits = self.lm_head(x)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        return logits, F.cross_entropy(logits, targets.view(B * T))

    @torch.no_grad()
    def generate(self, idx, max_new_tokens, temperature=1.0, top_k=None, sample=True):
        for _ in range(max_new_tokens):
            logits, _ = self(idx[:, -block_size:])
            logits = logits[:, -1, :] / temperature
            if top_k is not None:
                v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < v[:, [-1]]] = -float("Inf")
            probs = F.softmax(logits, dim=-1)
            if sample:
                idx_next = torch.multinomial(probs, num_samples=1)
            else:
                _, idx_next = torch.topk(probs, k=1, dim=-1)
            idx = torch.cat((idx, idx_next), dim=1)
        return idx


model = GPT().to(device)
with torch.no_grad():
    for p in model.parameters():
        if p.dim() > 1:
            p.copy_(torch.tensor(rng.normal(scale=0.1, size=p.shape)))
print(sum(p.numel() for p in model.parameters()) / 1e3, "K parameters")


@torch.no_grad()
def estimate_loss(batches=4):
    out = {}
    model.eval()
    for split in ["train", "val"]:
        losses = torch.zeros(batches)
        for k in range(batches):
            _, loss = model(*get_batch(split))
            losses[k] = loss.item()
        out[split] = losses.mean()
    model.train()
    return out


# Weight decay on matrices only.
decay = [p for p in model.parameters() if p.dim() >= 2]
rest = [p for p in model.parameters() if p.dim() < 2]
groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))


def get_lr(it, warmup=10, total=60):
    if it < warmup:
        return 1e-2 * (it + 1) / warmup
    return 1e-3 + 0.5 * (1e-2 - 1e-3) * (1 + math.cos(math.pi * (it - warmup) / (total - warmup)))


losses, norms = [], []
for it in range(60):
    for group in optimizer.param_groups:
        group["lr"] = get_lr(it)
    if it % 30 == 0:
        est = estimate_loss()
        print(f"step {it}: train loss {est['train']:.4f}, val loss {est['val']:.4f}")
    logits, loss = model(*get_batch("train"))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
    optimizer.step()
    losses.append(loss.item())

end = estimate_loss()
model.eval()
greedy = model.generate(torch.tensor([encode("the ")]), 20, sample=False)
drawn = model.generate(torch.zeros((2, 1), dtype=torch.long, device=device), max_new_tokens=12, top_k=3)
print(decode(greedy[0].tolist()), "|", decode(drawn[0].tolist()))

# The future changes nothing about the past.
x, _ = get_batch("val")
changed = x.clone()
changed[:, 10:] = 0
past = (model(x)[0] - model(changed)[0])[:, :10].abs().max().item()

# The same attention by the function for it, on heads as a dim of their own.
q, k, v = (torch.from_numpy(rng.normal(size=(2, 6, 12)).astype(np.float32)) for _ in range(3))
split = [t.view(2, 6, 3, 4).transpose(1, 2) for t in (q, k, v)]
att = (split[0] @ split[1].transpose(-2, -1)) * (1.0 / math.sqrt(4))
att = att.masked_fill(torch.tril(torch.ones(6, 6)).view(1, 1, 6, 6) == 0, float("-inf"))
by_hand = (F.softmax(att, dim=-1) @ split[2]).transpose(1, 2).contiguous().view(2, 6, 12)
by_function = F.scaled_dot_product_attention(*split, is_causal=True).transpose(1, 2).reshape(2, 6, 12)

results = {
    "model": str(model),
    "buffers": [name for name, _ in model.named_buffers()],
    "losses": losses,
    "norms": torch.stack(norms),
    "estimates": [end["train"], end["val"]],
    "greedy": greedy,
    "drawn": tuple(drawn.shape),
    "logits": logits.detach()[:4],
    "attention": by_hand,
    "attention by function": by_function,
    "past": past < 1e-5,
    "rates": [get_lr(k) for k in range(0, 60, 9)],
}


def goal():
    assert losses[-1] < losses[0] / 2 and results["past"]
    np.testing.assert_allclose(by_hand.numpy(), by_function.numpy(), atol=1e-6)
    assert decode(greedy[0].tolist()).startswith("the ")
