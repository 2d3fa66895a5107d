"""A transformer encoder for sequences of different lengths: positions by sines, padding masks, the mean at the end."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

rng = np.random.default_rng(55)
PAD, VOCAB, D = 0, 12, 16


class Sequences(Dataset):
    """Tokens 1..11; the class is 1 where there are more tokens above 6 than below."""

    def __init__(self, n):
        self.items = []
        for _ in range(n):
            tokens = rng.integers(1, VOCAB, rng.integers(3, 9)).tolist()
            self.items.append((tokens, int(sum(np.sign(t - 6) for t in tokens) > 0)))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        tokens, label = self.items[index]
        return torch.tensor(tokens, dtype=torch.int64), label


def collate_batch(batch):
    texts, labels = zip(*batch, strict=True)
    padded = nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=PAD)
    return padded, torch.tensor(labels, dtype=torch.float32), torch.tensor([len(t) for t in texts])


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.0, max_len=50):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(1, max_len, d_model)
        pe[0, :, 0::2] = torch.sin(position * div_term)
        pe[0, :, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return self.dropout(x + self.pe[:, : x.size(1)])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, D, padding_idx=PAD)
        self.position = PositionalEncoding(D)
        layer = nn.TransformerEncoderLayer(D, nhead=4, dim_feedforward=32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.decode = nn.Linear(D, 1)

    def forward(self, src):
        mask = src == PAD
        x = self.position(self.embed(src) * math.sqrt(D))
        x = self.encoder(x, src_key_padding_mask=mask)
        keep = (~mask).unsqueeze(-1)
        pooled = (x * keep).sum(dim=1) / keep.sum(dim=1)
        return self.decode(pooled).squeeze(-1)


def fill(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.copy_(torch.tensor(rng.normal(scale=0.25, size=p.shape)))
            elif not name.endswith("weight"):
                p.zero_()
        if hasattr(model, "embed"):
            model.embed.weight[PAD].fill_(0)
    return model


train_set, test_set = Sequences(192), Sequences(64)
train_loader = DataLoader(train_set, batch_size=32, collate_fn=collate_batch)
test_loader = DataLoader(test_set, batch_size=64, collate_fn=collate_batch)
model = fill(Classifier())
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)


def evaluate():
    model.eval()
    total = right = 0
    with torch.no_grad():
        for text, label, _ in test_loader:
            right += ((model(text) > 0) == label.bool()).sum().item()
            total += label.size(0)
    return right / total


history = []
for epoch in range(6):
    model.train()
    for text, label, _ in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(text), label)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    history.append([loss.item(), evaluate()])
    print(f"| epoch {epoch:3d} | loss {history[-1][0]:5.3f} | accuracy {history[-1][1]:5.2f}")

# More padding changes nothing.
model.eval()
text, label, lengths = next(iter(test_loader))
with torch.no_grad():
    scores = model(text)
    wider = model(F.pad(text, (0, 4), value=PAD))

# Attention itself: weights that sum to one, none on masked places; causal by a square mask.
attention = fill(nn.MultiheadAttention(8, 2, batch_first=True)).eval()
q = torch.from_numpy(rng.normal(size=(2, 5, 8)).astype(np.float32))
padding = torch.tensor([[False] * 5, [False, False, False, True, True]])
out, weights = attention(q, q, q, key_padding_mask=padding)
causal = nn.Transformer.generate_square_subsequent_mask(5)
_, each = attention(q, q, q, attn_mask=causal, average_attn_weights=False)
_, none = attention(q, q, q, need_weights=False)

# Before the layers rather than after them; and a decoder that looks at an encoding.
first = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True, norm_first=True)
first = fill(first).eval()
decoder = fill(nn.TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)).eval()
decoded = decoder(q[:, :3], first(q), tgt_mask=causal[:3, :3], memory_key_padding_mask=padding)

results = {
    "model": str(model),
    "history": history,
    "scores": scores,
    "wider": wider,
    "positions": model.position.pe[0, :4],
    "out": out.detach(),
    "weights": weights.detach(),
    "causal": causal,
    "heads": each.detach(),
    "none": none is None,
    "first": first(q).detach(),
    "decoded": decoded.detach(),
    "lengths": lengths,
    "names": [name for name, _ in model.named_parameters()],
}


def goal():
    assert history[-1][1] > 0.8 and history[-1][0] < history[0][0]
    np.testing.assert_allclose(scores.numpy(), wider.numpy(), atol=1e-5)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 5)) and (weights[1, :, 3:] == 0).all()
    assert (each.triu(1) == 0).all()
