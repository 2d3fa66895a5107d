"""Word vectors: skip-gram with negative sampling, and its neighbours by cosine; then a bag of words before a word."""

from collections import Counter

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

rng = np.random.default_rng(8)
ANIMALS, FOODS = ["cat", "dog", "fox"], ["bread", "soup", "rice"]
sentences = []
for _ in range(60):
    animal, food = rng.choice(ANIMALS), rng.choice(FOODS)
    sentences += [["the", animal, "runs", "and", "jumps"], ["we", "cook", food, "with", "salt"]]
counts = Counter(word for s in sentences for word in s)
vocab = sorted(counts)
word_to_ix = {word: i for i, word in enumerate(vocab)}

pairs = []
for s in sentences:
    for i, word in enumerate(s):
        for j in range(max(0, i - 2), min(len(s), i + 3)):
            if i != j:
                pairs.append((word_to_ix[word], word_to_ix[s[j]]))
centers, contexts = (torch.tensor(column, dtype=torch.long) for column in zip(*pairs, strict=True))
frequencies = torch.tensor([counts[w] for w in vocab], dtype=torch.float).pow(0.75)
noise = frequencies / frequencies.sum()
p = noise.double().numpy()
negatives = torch.from_numpy(rng.choice(len(vocab), size=(len(pairs), 4), p=p / p.sum()))
loader = DataLoader(TensorDataset(centers, contexts, negatives), batch_size=64)


class SkipGramNeg(nn.Module):
    def __init__(self, n_vocab, n_embed):
        super().__init__()
        self.in_embed, self.out_embed = nn.Embedding(n_vocab, n_embed), nn.Embedding(n_vocab, n_embed)
        self.in_embed.weight.data.uniform_(-1, 1)
        self.out_embed.weight.data.uniform_(-1, 1)

    def forward(self, center, context, negative):
        v = self.in_embed(center).unsqueeze(2)
        positive = torch.bmm(self.out_embed(context).unsqueeze(1), v).squeeze()
        noise = torch.bmm(self.out_embed(negative).neg(), v).squeeze(2)
        return -(F.logsigmoid(positive) + noise.sigmoid().log().sum(1)).mean()


model = SkipGramNeg(len(vocab), 8)
in_range = bool(model.in_embed.weight.abs().max() <= 1)
with torch.no_grad():
    for table in (model.in_embed, model.out_embed):
        table.weight.copy_(torch.tensor(rng.uniform(-0.5, 0.5, (len(vocab), 8))))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
history = []
for epoch in range(4):
    total_loss = torch.Tensor([0])
    for batch in loader:
        optimizer.zero_grad()
        loss = model(*batch)
        loss.backward()
        optimizer.step()
        total_loss += loss.item()
    history.append(total_loss / len(loader))
    print(epoch, history[-1])

vectors = F.normalize(model.in_embed.weight.detach(), p=2, dim=1)
similarities = vectors @ vectors.t()
similarities.fill_diagonal_(-1)
values, closest = similarities.topk(2, dim=1)
for word in ("cat", "bread"):
    print(word, "->", ", ".join(vocab[i] for i in closest[word_to_ix[word]]))

# A bag of two words on either side predicts the one between: embeddings summed, then log-probabilities.
trigrams = [([s[k - 1], s[k + 1]], s[k]) for s in sentences[:20] for k in range(1, 4)]


class CBOW(nn.Module):
    def __init__(self, vocab_size, embedding_dim):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.linear1 = nn.Linear(embedding_dim, vocab_size)

    def forward(self, inputs):
        embeds = self.embeddings(inputs).sum(dim=0).view((1, -1))
        return F.log_softmax(self.linear1(embeds), dim=1)


cbow = CBOW(len(vocab), 6)
with torch.no_grad():
    for p in cbow.parameters():
        p[:] = torch.tensor(rng.normal(scale=0.4, size=p.shape), dtype=torch.float32)
sgd, loss_function = torch.optim.SGD(cbow.parameters(), lr=0.1), nn.NLLLoss()
first = last = 0.0
for _ in range(5):
    total = 0
    for context, target in trigrams:
        ids = torch.tensor([word_to_ix[w] for w in context], dtype=torch.long)
        cbow.zero_grad()
        loss = loss_function(cbow(ids), torch.tensor([word_to_ix[target]], dtype=torch.long))
        loss.backward()
        sgd.step()
        total += loss.item()
    first, last = (first or total), total

results = {
    "pairs": len(pairs),
    "noise": noise,
    "history": torch.cat(history),
    "vectors": vectors,
    "similarities": values,
    "cosine": F.cosine_similarity(vectors[0], vectors[1], dim=0),
    "in range": in_range,
    "bag": [first, last],
    "padding moves not": cbow.embeddings.weight.grad[0],
    "words": vocab,
    "probabilities": cbow(torch.tensor([1, 2])).exp(),
}


def goal():
    assert history[-1] < history[0] - 0.5 and last < first / 2
    a, b, c = (word_to_ix[w] for w in ("cat", "dog", "soup"))
    assert similarities[a, b] > similarities[a, c]
