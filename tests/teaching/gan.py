"""A generative adversarial network that learns a ring in the plane: two players, two optimisers."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

rng = np.random.default_rng(16)
latent_dim, batch = 4, 64


def real_batch():
    angle = rng.uniform(0, 2 * np.pi, batch)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1) * 2 + rng.normal(scale=0.05, size=(batch, 2))
    return torch.from_numpy(ring).float()


def noise_batch():
    return torch.FloatTensor(rng.normal(size=(batch, latent_dim)))


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        m.weight.data.copy_(torch.from_numpy(rng.normal(0.0, 0.3, tuple(m.weight.shape))))
        if m.bias is not None:
            nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    def __init__(self):
        super(Generator, self).__init__()  # noqa: UP008

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat, bias=not normalize)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(*block(latent_dim, 16, normalize=False), *block(16, 32), nn.Linear(32, 2))

    def forward(self, z):
        return self.model(z)


class Discriminator(nn.Module):
    def __init__(self):
        super(Discriminator, self).__init__()  # noqa: UP008
        self.model = nn.Sequential(
            nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Sigmoid()
        )

    def forward(self, points):
        return self.model(points).view(-1)


netG, netD = Generator().apply(weights_init), Discriminator().apply(weights_init)
criterion = nn.BCELoss()
optimizerD = optim.Adam(netD.parameters(), lr=4e-3, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=4e-3, betas=(0.5, 0.999))
real_label, fake_label = 1.0, 0.0
log = []
for i in range(60):
    # D: real up, fake down.
    netD.zero_grad()
    label = torch.full((batch,), real_label, dtype=torch.float)
    output = netD(real_batch())
    errD_real = criterion(output, label)
    errD_real.backward()
    D_x = output.mean().item()
    fake = netG(noise_batch())
    label.fill_(fake_label)
    output = netD(fake.detach())
    errD_fake = criterion(output, label)
    errD_fake.backward()
    D_G_z1 = output.mean().item()
    if i == 0:
        untouched = all(p.grad is None or not p.grad.any() for p in netG.parameters())
    optimizerD.step()
    # G: be taken for real.
    netG.zero_grad()
    label.fill_(real_label)
    output = netD(fake)
    errG = criterion(output, label)
    errG.backward()
    optimizerG.step()
    log.append([(errD_real + errD_fake).item(), errG.item(), D_x, D_G_z1, output.mean().item()])
    if i % 20 == 0:
        print("[%d/%d]\tLoss_D: %.4f\tLoss_G: %.4f\tD(x): %.4f\tD(G(z)): %.4f / %.4f" % (i, 60, *log[-1]))  # noqa: UP031

# A critic with a gradient penalty, as Wasserstein GANs have: a gradient inside a loss.
critic = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
critic.apply(weights_init)
critic_opt = optim.RMSprop(critic.parameters(), lr=1e-2)
penalties, gaps = [], []
for _ in range(25):
    real, fake = real_batch(), torch.from_numpy(rng.normal(size=(batch, 2)).astype("float32"))
    alpha = torch.from_numpy(rng.uniform(size=(batch, 1)).astype("float32"))
    between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(between)
    (gradients,) = torch.autograd.grad(
        outputs=scores, inputs=between, grad_outputs=torch.ones_like(scores), create_graph=True, retain_graph=True
    )
    penalty = ((gradients.norm(2, dim=1) - 1) ** 2).mean()
    gap = critic(fake).mean() - critic(real).mean()
    critic_opt.zero_grad()
    (gap + 10 * penalty).backward()
    critic_opt.step()
    penalties.append(penalty.item())
    gaps.append(gap.item())

with torch.no_grad():
    netG.eval()
    points = netG(noise_batch())
radius = points.norm(dim=1)
results = {
    "log": log[:20],
    "losses at the end": log[-1][:2],
    "points": points,
    "radius": radius.mean(),
    "penalties": penalties,
    "gaps": gaps,
    "untouched": untouched,
    "running mean": netG.model[3].running_mean,
    "tracked": netG.model[3].num_batches_tracked,
}


def goal():
    assert untouched and all(np.isfinite(log).flatten())
    assert penalties[-1] < penalties[0] and gaps[-1] < 0 and 0.3 < radius.mean() < 4
