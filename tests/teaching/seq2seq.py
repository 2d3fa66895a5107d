"""Translation in small: a GRU encoder, a decoder with attention, teacher forcing, masked loss, and greedy decoding."""

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim

rng = np.random.default_rng(17)
random.seed(3)
SOS_token, EOS_token, PAD_token, MAX_LENGTH, hidden_size, size = 0, 1, 2, 6, 20, 8


def pair():
    """A sequence of letters; its translation is the sequence in reverse."""
    word = rng.integers(3, size, rng.integers(2, 5)).tolist()
    return word, word[::-1]


def batch(pairs):
    source = nn.utils.rnn.pad_sequence([torch.tensor([*s, EOS_token]) for s, _ in pairs], padding_value=PAD_token)
    target = nn.utils.rnn.pad_sequence([torch.tensor([*t, EOS_token]) for _, t in pairs], padding_value=PAD_token)
    return source, target, target != PAD_token


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)

    def forward(self, input, hidden=None):
        return self.gru(self.embedding(input), hidden)


class Attn(nn.Module):
    def __init__(self, method, hidden_size):
        super().__init__()
        if method not in ["dot", "general"]:
            raise ValueError(method, "is not an appropriate attention method.")
        self.method = method
        if method == "general":
            self.attn = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden, encoder_outputs):
        energy = self.attn(encoder_outputs) if self.method == "general" else encoder_outputs
        return F.softmax(torch.sum(hidden * energy, dim=2).t(), dim=1).unsqueeze(1)


class AttnDecoderRNN(nn.Module):
    def __init__(self, method, hidden_size, output_size):
        super().__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)
        self.concat = nn.Linear(hidden_size * 2, hidden_size)
        self.out = nn.Linear(hidden_size, output_size)
        self.attn = Attn(method, hidden_size)

    def forward(self, step, hidden, encoder_outputs):
        rnn_output, hidden = self.gru(self.embedding(step), hidden)
        weights = self.attn(rnn_output, encoder_outputs)
        context = weights.bmm(encoder_outputs.transpose(0, 1)).squeeze(1)
        concat_output = torch.tanh(self.concat(torch.cat((rnn_output.squeeze(0), context), 1)))
        return F.log_softmax(self.out(concat_output), dim=1), hidden, weights.squeeze(1)


def mask_nll(log_probs, target, mask):
    picked = torch.gather(log_probs, 1, target.view(-1, 1)).squeeze(1)
    return -picked.masked_select(mask).mean(), mask.sum().item()


encoder, decoder = EncoderRNN(size, hidden_size), AttnDecoderRNN("general", hidden_size, size)
with torch.no_grad():
    for p in [*encoder.parameters(), *decoder.parameters()]:
        p.copy_(torch.from_numpy(rng.normal(scale=0.25, size=tuple(p.shape)).astype(np.float32)))
encoder_optimizer, decoder_optimizer = (
    optim.Adam(encoder.parameters(), lr=0.01),
    optim.Adam(decoder.parameters(), lr=0.01),
)


def train(source, target, mask):
    encoder_optimizer.zero_grad()
    decoder_optimizer.zero_grad()
    encoder_outputs, hidden = encoder(source)
    step = torch.LongTensor([[SOS_token for _ in range(source.size(1))]])
    loss, losses, total = 0, [], 0
    teacher_forcing = random.random() < 0.8
    for t in range(target.size(0)):
        log_probs, hidden, _ = decoder(step, hidden, encoder_outputs)
        if teacher_forcing:
            step = target[t].view(1, -1)
        else:
            _, topi = log_probs.topk(1)
            step = topi.transpose(0, 1).detach()
        step_loss, n = mask_nll(log_probs, target[t], mask[t])
        loss += step_loss
        losses.append(step_loss.item() * n)
        total += n
    loss.backward()
    nn.utils.clip_grad_norm_(encoder.parameters(), 5.0)
    nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
    encoder_optimizer.step()
    decoder_optimizer.step()
    return sum(losses) / total


history = []
for _ in range(60):
    history.append(train(*batch([pair() for _ in range(24)])))
print(f"loss {history[0]:.3f} -> {history[-1]:.3f}")


@torch.no_grad()
def evaluate(word):
    encoder_outputs, hidden = encoder(torch.tensor([*word, EOS_token]).view(-1, 1))
    step, decoded, attentions = torch.tensor([[SOS_token]]), [], torch.zeros(MAX_LENGTH, len(word) + 1)
    for t in range(MAX_LENGTH):
        log_probs, hidden, weights = decoder(step, hidden, encoder_outputs)
        attentions[t] = weights.data
        _, topi = log_probs.data.topk(1)
        if topi.item() == EOS_token:
            break
        decoded.append(topi.item())
        step = topi.squeeze().detach().view(1, 1)
    return decoded, attentions[: t + 1]


decoded, attentions = evaluate([3, 5, 7])
source, target, mask = batch([pair() for _ in range(5)])
outputs, hidden = encoder(source)
log_probs, _, weights = decoder(target[:1], hidden, outputs)
ignoring = F.nll_loss(log_probs, target[-1], ignore_index=PAD_token)

results = {
    "history": history[:30],
    "later": [np.mean(history[30:45]), np.mean(history[45:])],
    "decoded": decoded,
    "attentions": attentions.sum(1),
    "mask": mask,
    "weights": weights,
    "ignoring": ignoring,
    "cross entropy": F.cross_entropy(log_probs, target[-1], ignore_index=PAD_token, reduction="sum"),
    "models": str(encoder) + str(decoder),
}


def goal():
    assert np.mean(history[-10:]) < history[0] / 2
    assert torch.allclose(attentions.sum(1), torch.ones(len(attentions)))
    assert torch.allclose(ignoring, mask_nll(log_probs, target[-1], mask[-1])[0])
