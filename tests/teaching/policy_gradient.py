"""REINFORCE: a bandit with several arms, then a walk along a line; and a table of values by temporal differences."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

rng = np.random.default_rng(3)
eps = float(np.finfo(np.float32).eps)
torch.manual_seed(543)

# The bandit: actions drawn by multinomial, so the learned policy is compared as a fact, its formulas as numbers.
payoff = torch.tensor([0.1, 0.5, 0.9])
preferences = torch.zeros(3, requires_grad=True)
bandit = optim.SGD([preferences], lr=0.4)
baseline = 0.0
for _ in range(150):
    probs = F.softmax(preferences, dim=0)
    actions = torch.multinomial(probs, 16, replacement=True)
    rewards = torch.bernoulli(payoff[actions])
    log_prob = torch.log(probs[actions])
    loss = -(log_prob * (rewards - baseline)).mean()
    bandit.zero_grad()
    loss.backward()
    bandit.step()
    baseline = 0.9 * baseline + 0.1 * rewards.mean().item()
learned = F.softmax(preferences, dim=0).detach()
print(learned)

# The expectation of the estimator over all actions is the gradient of the expected reward.
theta = torch.tensor([0.2, -0.3, 0.5], requires_grad=True)
p = theta.softmax(0)
(exact,) = torch.autograd.grad((p * payoff).sum(), theta, retain_graph=True)
estimate = sum(p[a].item() * payoff[a] * torch.autograd.grad(p[a].log(), theta, retain_graph=True)[0] for a in range(3))


class Policy(nn.Module):
    """A policy and a value with a shared trunk."""

    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(5, 12)
        self.action_head = nn.Linear(12, 2)
        self.value_head = nn.Linear(12, 1)
        self.saved_actions, self.rewards = [], []
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.from_numpy(rng.normal(scale=0.4, size=tuple(p.shape)).astype(np.float32)))

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def play(policy, steps=12):
    """Places 0..4; +1 on arrival at 4, -0.05 for a step. The coin comes from NumPy."""
    place = 1
    for _ in range(steps):
        probs, value = policy(F.one_hot(torch.tensor(place), 5).float())
        action = int(rng.uniform() < probs[1].item())
        policy.saved_actions.append((probs[action].log(), value))
        place = min(max(place + (1 if action else -1), 0), 4)
        policy.rewards.append(1.0 if place == 4 else -0.05)
        if place == 4:
            break
    return sum(policy.rewards)


def finish_episode(policy, optimizer, gamma=0.9):
    R, returns = 0, []
    for r in policy.rewards[::-1]:
        R = r + gamma * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    policy_losses, value_losses = [], []
    for (log_prob, value), R in zip(policy.saved_actions, returns, strict=True):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del policy.rewards[:], policy.saved_actions[:]
    return loss.item(), (returns - returns.mean()) / (returns.std(unbiased=False) + eps)


policy = Policy()
optimizer = optim.Adam(policy.parameters(), lr=0.01)
rewards, losses, running = [], [], 0.0
for _ in range(80):
    rewards.append(play(policy))
    loss, normalised = finish_episode(policy, optimizer)
    losses.append(loss)
    running = 0.05 * rewards[-1] + 0.95 * running
print(f"Last reward: {rewards[-1]:.2f}\tAverage reward: {running:.2f}")

# Values from a replay of random steps: target network, gather, Huber loss.
q_net, target_net = nn.Linear(5, 2, bias=False), nn.Linear(5, 2, bias=False)
nn.init.zeros_(q_net.weight)
target_net.load_state_dict(q_net.state_dict())
state = torch.from_numpy(rng.integers(0, 4, 256))
action = torch.from_numpy(rng.integers(0, 2, (256, 1)))
next_state = torch.clamp(state + 2 * action.squeeze(1) - 1, 0, 4)
reward = torch.where(next_state == 4, torch.tensor(1.0), torch.tensor(-0.05))
opt, criterion = optim.RMSprop(q_net.parameters(), lr=0.05), nn.SmoothL1Loss()
td = []
for k in range(60):
    q = q_net(F.one_hot(state, 5).float()).gather(1, action).squeeze(1)
    with torch.no_grad():
        next_values = target_net(F.one_hot(next_state, num_classes=5).float()).max(1).values
        next_values[next_state == 4] = 0.0
    loss = criterion(q, reward + 0.9 * next_values)
    opt.zero_grad()
    loss.backward()
    for p in q_net.parameters():
        p.grad.data.clamp_(-1, 1)
    opt.step()
    td.append(loss.item())
    if k % 10 == 9:
        target_net.load_state_dict(q_net.state_dict())
    else:
        for ours, theirs in zip(target_net.parameters(), q_net.parameters(), strict=True):
            ours.data.mul_(0.95).add_(theirs.data, alpha=0.05)

results = {
    "exact": exact,
    "estimate": estimate,
    "best arm": int(learned.argmax()),
    "first losses": losses[:20],
    "td": td,
    "Q": q_net.weight.detach(),
    "greedy": q_net.weight.detach().argmax(dim=0)[:4],
    "entropy": -(p * p.log()).sum(),
}


def goal():
    np.testing.assert_allclose(exact.numpy(), estimate.numpy(), atol=1e-6)
    assert learned[2] > 0.8 and np.mean(rewards[-10:]) > np.mean(rewards[:10])
    assert results["greedy"].tolist() == [1, 1, 1, 1] and td[-1] < td[0]
