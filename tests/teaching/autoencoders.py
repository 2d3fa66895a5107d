"""An autoencoder, then a variational one: the reparameterisation, its KL term, and samples from the prior."""

import numpy as np
import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

rng = np.random.default_rng(2)
angles = rng.uniform(0, np.pi, 192)
grid = np.stack(np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 8)), -1)
across = grid[..., 0] * np.cos(angles)[:, None, None] + grid[..., 1] * np.sin(angles)[:, None, None]
images = torch.tensor(np.exp(-8 * across**2), dtype=torch.float32).unsqueeze(1)  # bars of every angle, in [0, 1]
loader = DataLoader(images, batch_size=48)


def fill(model, scale):
    for p in model.parameters():
        p.data = torch.tensor(rng.normal(size=p.shape) * (scale if p.ndim > 1 else 0), dtype=torch.float)
    return model


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.ReLU(True),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(32, 4),
        )
        self.decoder = nn.Sequential(
            nn.Linear(4, 32),
            nn.Unflatten(1, (8, 2, 2)),
            nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(4, 1, 2, stride=2),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.decoder(self.encoder(x))


auto = fill(Autoencoder(), 0.3)
criterion, optimizer = nn.MSELoss(), torch.optim.Adam(auto.parameters(), lr=0.02, weight_decay=1e-5)
auto_losses = []
for _ in range(15):
    for img in loader:
        noisy = (img + torch.tensor(rng.normal(scale=0.05, size=img.shape)).to(img.dtype)).clamp(0, 1)
        loss = criterion(auto(noisy), img)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    auto_losses.append(loss.item())
print(f"autoencoder {auto_losses[0]:.4f} -> {auto_losses[-1]:.4f}")


class VAE(nn.Module):
    def __init__(self, d=2):
        super().__init__()
        self.fc1 = nn.Linear(64, 32)
        self.fc21, self.fc22 = nn.Linear(32, d), nn.Linear(32, d)
        self.fc3, self.fc4 = nn.Linear(d, 32), nn.Linear(32, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.from_numpy(rng.normal(size=tuple(std.shape))).type_as(std) if self.training else 0 * std
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE, KLD


vae = fill(VAE(), 0.15)
optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
history = []
for _ in range(15):
    vae.train()
    totals = torch.zeros(2)
    for data in loader:
        optimizer.zero_grad()
        BCE, KLD = loss_function(*((out := vae(data))[0], data, *out[1:]))
        (BCE + KLD).backward()
        totals += torch.stack([BCE.detach(), KLD.detach()])
        optimizer.step()
    history.append(totals / len(loader.dataset))
print(f"====> reconstruction {history[-1][0]:.3f}, KL {history[-1][1]:.3f}")

vae.eval()
with torch.no_grad():
    recon, mu, logvar = vae(images[:4])
    sample = vae.decode(torch.randn(16, 2)).view(16, 1, 8, 8)
    walk = vae.decode(torch.stack([torch.linspace(-1, 1, 5), torch.zeros(5)], dim=1)).view(5, 8, 8)

# One sample's estimate of the KL divergence is right on average.
m, s = torch.tensor([0.5, -1.0]), torch.tensor([0.8, 0.5])
z = m + s * torch.from_numpy(rng.normal(size=(20000, 2)).astype(np.float32))
log_q = -0.5 * ((z - m) / s) ** 2 - s.log()
estimate = (log_q + 0.5 * z**2).mean(0).sum()
exact = -0.5 * (1 + 2 * s.log() - m**2 - s**2).sum()

results = {
    "autoencoder": auto_losses,
    "history": torch.stack(history),
    "reconstruction": recon,
    "mu": mu,
    "logvar": logvar,
    "sample": bool(((sample >= 0) & (sample <= 1)).all()),
    "walk": walk,
    "KL": [estimate, exact],
    "models": str(auto) + str(vae),
}


def goal():
    assert auto_losses[-1] < auto_losses[0] * 0.6
    assert history[-1].sum() < history[0].sum() * 0.8
    assert abs(estimate - exact) < 0.05 and tuple(sample.shape) == (16, 1, 8, 8)
