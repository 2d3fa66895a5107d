"""Recurrent networks: an LSTM over letters, cells written by hand, and sequences of different lengths."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

rng = np.random.default_rng(21)
text = "hello recurrent world. " * 12
vocabulary = tuple(sorted(set(text)))
char2int = {ch: ii for ii, ch in enumerate(vocabulary)}
encoded = np.array([char2int[ch] for ch in text])


def fill(module, scale=0.3):
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.from_numpy(rng.normal(scale=scale, size=tuple(p.shape)).astype(np.float32)))
    return module


def one_hot_encode(arr, n_labels):
    one_hot = np.zeros((arr.size, n_labels), dtype=np.float32)
    one_hot[np.arange(one_hot.shape[0]), arr.flatten()] = 1.0
    return one_hot.reshape((*arr.shape, n_labels))


def get_batches(arr, batch_size, seq_length):
    n_batches = (len(arr) - 1) // (batch_size * seq_length)
    keep = n_batches * batch_size * seq_length
    x, y = arr[:keep].reshape(batch_size, -1), arr[1 : keep + 1].reshape(batch_size, -1)
    for k in range(0, x.shape[1], seq_length):
        yield x[:, k : k + seq_length], y[:, k : k + seq_length]


class CharRNN(nn.Module):
    def __init__(self, tokens, n_hidden=32, n_layers=2, drop_prob=0.0):
        super().__init__()
        self.n_layers, self.n_hidden = n_layers, n_hidden
        self.lstm = nn.LSTM(len(tokens), n_hidden, n_layers, dropout=drop_prob, batch_first=True)
        self.dropout = nn.Dropout(drop_prob)
        self.fc = nn.Linear(n_hidden, len(tokens))

    def forward(self, x, hidden):
        r_output, hidden = self.lstm(x, hidden)
        out = self.dropout(r_output).contiguous().view(-1, self.n_hidden)
        return self.fc(out), hidden

    def init_hidden(self, batch_size):
        weight = next(self.parameters()).data
        size = (self.n_layers, batch_size, self.n_hidden)
        return weight.new(*size).zero_(), weight.new_zeros(size)


net = fill(CharRNN(vocabulary))
print(net)
opt = optim.Adam(net.parameters(), lr=0.02)
criterion = nn.CrossEntropyLoss()
losses = []
net.train()
for _ in range(12):
    h = net.init_hidden(4)
    for x, y in get_batches(encoded, 4, 11):
        inputs, targets = torch.from_numpy(one_hot_encode(x, len(vocabulary))), torch.from_numpy(y)
        h = tuple([each.data for each in h])  # the history ends here
        net.zero_grad()
        output, h = net(inputs, h)
        loss = criterion(output, targets.reshape(4 * 11).long())
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        opt.step()
        losses.append(loss.item())
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")


def predict(net, char, h):
    x = torch.from_numpy(one_hot_encode(np.array([[char2int[char]]]), len(vocabulary)))
    h = tuple(each.data for each in h)
    out, h = net(x, h)
    p, top = torch.softmax(out, dim=1).data.topk(3)
    return vocabulary[top.numpy().squeeze()[0]], p, h


net.eval()
said, hidden = "h", net.init_hidden(1)
for _ in range(12):
    char, p, hidden = predict(net, said[-1], hidden)
    said += char
print(said)


# Cells by hand against the library's.
class HandGRU(nn.Module):
    """r, z, n as in the documentation of GRUCell."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, h):
        gi = x @ self.cell.weight_ih.t() + self.cell.bias_ih
        gh = h @ self.cell.weight_hh.t() + self.cell.bias_hh
        i_r, i_z, i_n = gi.chunk(3, 1)
        h_r, h_z, h_n = gh.chunk(3, 1)
        r, z = torch.sigmoid(i_r + h_r), torch.sigmoid(i_z + h_z)
        n = torch.tanh(i_n + r * h_n)
        return (1 - z) * n + z * h


def hand_lstm(cell, x, state):
    h, c = state
    gates = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(h, cell.weight_hh, cell.bias_hh)
    i, f, g, o = torch.split(gates, cell.hidden_size, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


gru, lstm, rnn = fill(nn.GRUCell(5, 7)), fill(nn.LSTMCell(5, 7)), fill(nn.RNNCell(5, 7, nonlinearity="tanh"))
sequence = torch.from_numpy(rng.normal(size=(6, 3, 5)).astype(np.float32))
by_hand, theirs = [], []
for mine, step in ((HandGRU(gru), gru), (lambda x, h: hand_lstm(lstm, x, h), lstm)):
    state = [torch.zeros(3, 7), torch.zeros(3, 7)] if step is lstm else torch.zeros(3, 7)
    for out, take in ((by_hand, mine), (theirs, step)):
        h = state
        for x in sequence:
            h = take(x, h)
        last = h[0] if step is lstm else h
        step.zero_grad()
        last.pow(2).sum().backward()
        out.append([last.detach(), step.weight_hh.grad.clone()])
h = torch.zeros(3, 7)
for x in sequence.unbind(0):
    h = rnn(x, h)

# A whole GRU over padded sequences, each read where it ends; and one in both directions over whole ones.
lengths = [6, 4, 2]
parts = [sequence[:n, k] for k, n in enumerate(lengths)]
padded = pad_sequence(parts, batch_first=True)
one_way = fill(nn.GRU(5, 4, num_layers=2, batch_first=True))
out, _ = one_way(padded)
ends = torch.tensor(lengths).sub(1).view(-1, 1, 1).expand(-1, 1, out.size(2))
last = out.gather(1, ends).squeeze(1)
alone = one_way(parts[2].unsqueeze(0))[1][-1, 0]
both = fill(nn.GRU(5, 4, num_layers=2, bidirectional=True))
both_out, h_n = both(sequence)
ends_meet = torch.cat([both_out[-1, :, :4], both_out[0, :, 4:]], dim=1)

# Both directions over sequences of different lengths need them packed.
shuffled, sizes = padded[[1, 0, 2]], torch.tensor([4, 6, 2])
packed = pack_padded_sequence(shuffled.transpose(0, 1), sizes, enforce_sorted=False)
packed_out, packed_h = both(packed)
unpacked, out_lengths = pad_packed_sequence(packed_out)
shortest = both(parts[2])[0]

results = {
    "losses": losses,
    "top": p,
    "said": len(said),
    "state": hidden[0],
    "by hand": by_hand,
    "theirs": theirs,
    "rnn": h.detach(),
    "padded": padded,
    "out": out.detach(),
    "h_n": h_n.detach(),
    "both": both_out.detach(),
    "last": last.detach(),
    "packed": [packed.data, packed.batch_sizes, unpacked, out_lengths, packed_h],
    "names": [name for name, _ in both.named_parameters()],
    "model": str(net) + str(both) + str(gru),
}


def goal():
    assert losses[-1] < losses[0] / 2
    np.testing.assert_allclose(unpacked[:2, 2].detach().numpy(), shortest.detach().numpy(), atol=1e-5)
    for mine, other in zip(by_hand, theirs, strict=True):
        np.testing.assert_allclose(mine[0].numpy(), other[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(mine[1].numpy(), other[1].numpy(), atol=1e-4)
    np.testing.assert_allclose(alone.detach().numpy(), last[2].detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(ends_meet.detach().numpy(), torch.cat([h_n[-2], h_n[-1]], 1).detach().numpy(), atol=1e-6)
