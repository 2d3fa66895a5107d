"""The main job, from data to pictures: what `make demo` runs.        python demos/tour.py        (under a minute)

Begins with a page that plays a small network forward and back, step by step.  Then trains a small CNN with BatchNorm on
real scans of digits, draws its computational graph and BatchNorm's, the curves and the learned filters, and checks the
gradients of every op.  Everything lands in out/.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import webbrowser
from pathlib import Path

import figures
import train as training

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import nn, testing
from tinygrad_edu.autograd import keep_values


def draw_cnn(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, out: Path) -> list[Path]:
    """The graph of one training step of the model, with every value and gradient."""
    model.train()
    model.zero_grad()
    with keep_values():
        images.name = "images"
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
    names = dict(model.named_parameters())
    drawing = visualize.graph(loss, params=names, title="A CNN with BatchNorm, one training step")
    return [drawing.render(out / "cnn.png"), drawing.render(out / "cnn.svg")]


def show(path: Path, allowed: bool) -> bool:
    """Open a page in the browser, where somebody sits in front of a screen; returns whether it was opened."""
    screen = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return allowed and screen and sys.stdout.isatty() and webbrowser.open(path.resolve().as_uri())


def check_gradients(out: Path) -> tuple[int, int]:
    """Check every op against central differences; print the table and save it."""
    checks = testing.check_ops()
    table = testing.format_checks(checks)
    print(table)
    (out / "gradients.txt").write_text(table + "\n", encoding="utf-8")
    return sum(c.right for c in checks), len(checks)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Run the tour; returns the test accuracy and the seconds of training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for everything that is made")
    parser.add_argument("--no-open", action="store_true", help="write the page without opening it in a browser")
    options = parser.parse_args(arguments)
    out = training.output_folder(options.out)
    print("0. A small network, forward and back, step by step: open this page in a browser")
    page = figures.write_page(out / "net.html")
    opened = show(page, not options.no_open)
    print(f"   {page.resolve()}{' (opened)' if opened else ''}\n")
    torch.manual_seed(options.seed)

    print("1. Train a small CNN with BatchNorm on Digits, 1,797 real 8x8 scans")
    train_set, test_set, classes = training.load("digits", None, False)
    model = training.CNN(channels=1, size=8)
    started = time.perf_counter()
    history = training.train(model, train_set, test_set, options.epochs, batch_size=32, lr=0.003)
    seconds = time.perf_counter() - started
    accuracy = history["test accuracy"][-1]
    print(f"   test accuracy {accuracy:.2%} after {options.epochs} epochs, {seconds:.1f} s\n")

    print("2. Check the gradients of every op, to second order, against central differences\n")
    right, total = check_gradients(out)
    print(f"\n   {right} of {total} ops have right gradients\n")

    print("3. Draw")
    images, labels = test_set.tensors
    model.eval()
    with torch.no_grad():
        predictions = model(images).argmax(1)
    visualize.curves(history, out / "curves.png", title="A small CNN with BatchNorm on Digits")
    visualize.filters(model.conv1, out / "filters.png", title="The 16 filters of conv1")
    visualize.confusion(labels, predictions, classes, out / "confusion.png")
    visualize.mistakes(images, labels, predictions, out / "mistakes.png", classes=classes)
    draw_cnn(model, images[:8], labels[:8], out)
    figures.draw_network(out / "network.png")
    figures.draw_batchnorm(out / "batchnorm.png")

    made = {
        "net.html": "a small network that plays forward and backward step by step, in any browser",
        "cnn.png": "the computational graph of one training step of the CNN (cnn.svg for zooming)",
        "network.png": "the same for a small perceptron, with values, gradients and formulas",
        "batchnorm.png": "BatchNorm from primitive operations, with what flows along every edge",
        "curves.png": "loss and accuracy",
        "filters.png": "what the first layer learned",
        "confusion.png": "which digits are taken for which",
        "mistakes.png": "the test images it gets wrong",
        "gradients.txt": "the table of every op's gradients",
    }
    print(f"\nEverything is in {out.resolve()}:")
    for name, what in made.items():
        print(f"   {name:<15} {what}")
    return {"accuracy": accuracy, "seconds": seconds, "right": right, "ops": total}


if __name__ == "__main__":
    result = main(sys.argv[1:])
    sys.exit(result["right"] != result["ops"])
