"""The pictures of the README, each from a real run.        python demos/gallery.py        (half a minute)

Graphs (a network, a deep one folded, second derivatives, two versions compared, a derivation checked), the page that
plays backward, and pictures of training. The page needs Chromium for its photograph and is left out without it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import figures
import numpy as np
import train as training
from PIL import Image

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import nn, optim
from tinygrad_edu.autograd import keep_values
from tinygrad_edu.derivation import Derivation

WIDTH = 1200  # pixels at most
LIMIT = 150_000  # bytes at most


class Residual(nn.Module):
    """x + conv2(relu(norm(conv1(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block and what went round it."""
        y: torch.Tensor = x + self.conv2(F.relu(self.norm(self.conv1(x))))
        return y


def network(path: Path) -> None:
    """One training step of a perceptron, in the dark."""
    torch.manual_seed(4)
    model = figures.Perceptron()
    x = torch.randn(4, 3)
    x.name = "x"
    loss = F.mse_loss(model(x), torch.zeros(4, 3))
    loss.backward()
    visualize.graph(loss, params=model, title="One step of a perceptron", theme="dark").render(path)


def deep(path: Path) -> None:
    """A network of fourteen blocks, folded into a few boxes."""
    torch.manual_seed(0)
    blocks = nn.Sequential(*[Residual(8) for _ in range(14)])
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), blocks, nn.Flatten(), nn.Linear(8 * 64, 10))
    with keep_values():
        x = torch.randn(4, 1, 8, 8)
        x.name = "images"
        loss = F.mse_loss(model(x), torch.zeros(4, 10))
        loss.backward()
    visualize.graph(loss, params=model, depth=2, rolled=True, title="Fourteen residual blocks, folded").render(path)


def second_order(path: Path) -> None:
    """The gradient of a gradient: what backward records under create_graph, beside what it came from."""
    x = torch.tensor(1.5, requires_grad=True)
    x.name = "x"
    y = x.sin() * x
    y.name = "y"
    y.backward(create_graph=True)
    visualize.graph(y, backward=True, title="y = x · sin x, and its derivative as a graph").render(path)


def before_and_after(path: Path) -> None:
    """BatchNorm's ε beside the root and under it: what the fix changes."""
    x = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    x.name = "x"

    def normal(slip: bool) -> torch.Tensor:
        centred = x - x.mean()
        variance = centred.square().mean()
        scale = variance.sqrt() + 0.1 if slip else (variance + 0.1).sqrt()
        y: torch.Tensor = (centred / scale).square().sum()
        y.name = "loss"
        return y

    visualize.diff(normal(True), normal(False), grads=False, title="ε moved under the root").render(path)


def page(path: Path) -> bool:
    """A photograph of the page that plays backward; False without Chromium."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        return False
    w = torch.tensor([[0.5, -1.0], [1.5, 0.25]], requires_grad=True)
    x = torch.tensor([[1.0, 2.0]])
    w.name, x.name = "W", "x"
    loss = (x @ w).tanh().square().sum()
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder, "page.html")
        made = visualize.page(loss, html, title="loss = Σ tanh(x W)²")
        address = f"{html.as_uri()}#step={len(made.steps) * 3 // 4}"
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--window-size=1280,800", "--virtual-time-budget=3000", f"--user-data-dir={folder}/profile"]
        subprocess.run([*command, f"--screenshot={path}", address], check=True, capture_output=True, timeout=120)
    return True


def derivation(path: Path) -> None:
    """Gradients of batch normalization derived by hand, with an exponent upside down and a 1/m forgotten."""

    def forward(x: Any, gamma: Any, beta: Any, *, eps: float) -> dict[str, Any]:
        mu = x.mean()
        var = ((x - mu) ** 2).mean()
        xhat = (x - mu) / (var + eps).sqrt()
        return {"mu": mu, "var": var, "xhat": xhat, "y": gamma * xhat + beta}

    norm = Derivation(
        "Batch normalization, derived by hand",
        forward,
        inputs={"x": ("m",), "gamma": (), "beta": ()},
        sizes={"m": 4},
        constants={"eps": 1e-5},
        loss="f",
        upstream="g",
        parameters=("gamma", "beta"),
    )
    norm.formula("1", "df/dgamma = sum_i g_i xhat_i").formula("2", "df/dbeta = sum_i g_i")
    norm.formula("3", "df/dxhat_i = g_i gamma")
    norm.formula("4", "df/dvar = sum_i df/dxhat_i (x_i - mu) (-1/2) (var + eps)^(-2/3)")
    norm.formula("5", "df/dmu = sum_i df/dxhat_i * (-1/sqrt(var + eps))")
    norm.formula("6", "df/dx_i = df/dxhat_i/sqrt(var + eps) + df/dvar 2(x_i - mu)/m + df/dmu")
    visualize.report(norm.check(), path, direction="TB")


def training_pictures(out: Path) -> None:
    """One short training of the small CNN on Digits: what flows, what it learned, what it gets wrong."""
    torch.manual_seed(0)
    train_set, test_set, classes = training.load("digits", None, False)
    model = training.CNN(channels=1, size=8)
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    images, labels = train_set.tensors
    order = np.random.default_rng(0)
    with visualize.GradientFlow(model) as flow:
        for _ in range(90):
            chosen = torch.tensor(order.integers(0, len(labels), 32))
            loss = F.cross_entropy(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            flow.step()
    visualize.gradient_flow(flow, out / "gradient_flow.png", title="A CNN learns digits")
    visualize.histograms(flow, out / "histograms.png", of="gradient", title="Its gradients, step by step")
    visualize.filters(model.conv1, out / "filters.png", title="The 16 filters of conv1")
    test_images, test_labels = test_set.tensors
    visualize.activations(model, test_images[3:4], out / "activations.png", title="What conv1 makes of a 3")
    model.eval()
    with torch.no_grad():
        scores = model(test_images)
    visualize.mistakes(test_images, test_labels, scores, out / "mistakes.png", classes=classes, limit=5)


def spirals() -> tuple[np.ndarray, np.ndarray]:
    """Three arms of 100 points each, (300, 2), and which arm each point is on."""
    rng = np.random.default_rng(0)
    arm, radius = np.repeat([0, 1, 2], 100), 0.1 + rng.random(300)
    angle = 4 * radius + arm * 2 * np.pi / 3
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.05, (300, 2))
    return points.astype(np.float32), arm


def boundary(path: Path, theme: str = "light") -> None:
    """Where a perceptron draws the lines between three spirals."""
    torch.manual_seed(1)
    points, arm = spirals()
    x, y = torch.tensor(points), torch.tensor(arm)
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    visualize.decision_boundary(model, points, arm, path, classes=["arm 1", "arm 2", "arm 3"], theme=theme)


def small(path: Path) -> int:
    """Shrink a picture to the README: at most 1,200 pixels wide and 150 kB; returns its size in bytes."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    picture.save(path, optimize=True)
    for colors in (256, 128, 64, 32):
        if path.stat().st_size <= LIMIT:
            break
        # the commonest shades stay exactly what they are (paper, tints), the rest of the palette spans all colours
        counted: Any = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)
        common = [channel for _, shade in counted[: colors // 4] for channel in shade]
        wide = picture.quantize(colors - colors // 4, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
        palette = Image.new("P", (1, 1))
        palette.putpalette((common + wide)[: 3 * colors])
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > LIMIT:
        raise RuntimeError(f"{path.name} has {path.stat().st_size} bytes even with 32 colours")
    return path.stat().st_size


def main(arguments: list[str] | None = None) -> list[Path]:
    """Make all pictures; returns their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="docs/gallery", help="folder for the pictures (docs/gallery)")
    out = training.output_folder(parser.parse_args(arguments).out)
    network(out / "network.png")
    deep(out / "deep.png")
    second_order(out / "second_order.png")
    before_and_after(out / "diff.png")
    if not page(out / "page.png"):
        print("no Chromium here: page.png is left as it was")
    derivation(out / "derivation.png")
    training_pictures(out)
    boundary(out / "decision_boundary.png")
    names = "network deep second_order diff page derivation gradient_flow histograms filters activations mistakes"
    made = [out / f"{name}.png" for name in [*names.split(), "decision_boundary"] if (out / f"{name}.png").exists()]
    for path in made:
        print(f"{small(path) / 1000:6.0f} kB  {path}")
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
