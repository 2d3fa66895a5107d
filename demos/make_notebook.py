"""Writes tour.ipynb, so that its cells are read and checked as code.        python demos/make_notebook.py"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from textwrap import dedent

import nbformat

# Text and code in turn: a cell that begins with "#" and a space, or with a capital letter, is text.
CELLS = (
    """
    # A tour of tinygrad_edu

    Tensors, gradients, pictures of both, and a network trained on real scans of digits. The names are PyTorch's, so
    what you learn here is what you type there.
    """,
    """
    import tinygrad_edu as torch
    import tinygrad_edu.nn.functional as F
    import visualize
    from tinygrad_edu import datasets, nn, optim
    from tinygrad_edu.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0);
    """,
    """
    ## A gradient

    Every operation on `w` is recorded; `backward()` walks the record from the loss back to `w`.
    """,
    """
    x = torch.tensor([1.0, 2.0, 6.0])
    w = torch.tensor(0.5, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    loss = ((w * x + b).tanh() - 1).square().mean()
    loss.backward()
    w.grad, b.grad
    """,
    """
    The same computation as a picture: values are blue, gradients orange, ◆ is kept for backward, ⊕ is a sum over paths.
    """,
    """
    visualize.graph(loss, params={"w": w, "b": b})
    """,
    """
    What does one operation do, and what does it do backwards?
    """,
    """
    torch.explain(torch.tanh)
    """,
    """
    ## Step by step

    The page plays forward and backward with the numbers of this run: press the arrow keys, or Predict. It is one file
    that needs no network, so you can also save it: `.save("neuron.html")`.
    """,
    """
    w.name, b.name, x.name = "w", "b", "x"
    visualize.page(((w * x + b).tanh() - 1).square().mean())
    """,
    """
    ## A network on real digits

    1,437 scans of 8 × 8 pixels to learn from and 360 to be tested on; they come with the package.
    """,
    """
    train_set = TensorDataset(*datasets.Digits(train=True).tensors())
    images, labels = datasets.Digits(train=False).tensors()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)
    )
    torch.summary(model, (1, 1, 8, 8))
    """,
    """
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    history = {"train loss": [], "test accuracy": []}
    flow = visualize.GradientFlow(model)
    for _ in range(5):
        total = 0.0
        for x, y in DataLoader(train_set, batch_size=32, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            flow.step()
            total += loss.item() * len(y)
        model.eval()
        with torch.no_grad():
            scores = model(images)
        model.train()
        history["train loss"].append(total / len(train_set))
        history["test accuracy"].append((scores.argmax(1) == labels).float().mean().item())
    flow.close()
    visualize.curves(history, title="A small CNN on Digits")
    """,
    """
    How large was the gradient of each layer, beside its weights? And what did the first layer learn to look for?
    """,
    """
    visualize.gradient_flow(flow)
    """,
    """
    visualize.activations(model, images[3:4])
    """,
    """
    visualize.mistakes(images, labels, scores, limit=5)
    """,
    """
    ## Is every gradient right?

    Each backward rule that ran, against central differences of the operation at the numbers it ran on:
    """,
    """
    torch.gradient_report(F.cross_entropy(model(images[:4]), labels[:4]))
    """,
)


def notebook() -> nbformat.NotebookNode:
    """The notebook without outputs; the same cells make the same file."""
    cells = []
    for k, text in enumerate(CELLS):
        source = dedent(text).strip()
        words = source.startswith("#") or source[0].isupper()
        make = nbformat.v4.new_markdown_cell if words else nbformat.v4.new_code_cell
        cells.append(make(source, id=f"cell-{k:02d}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def main(arguments: list[str] | None = None) -> Path:
    """Write it beside this file, or where --out says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(Path(__file__).with_name("tour.ipynb")), help="the file to write")
    path = Path(parser.parse_args(arguments).out)
    path.write_text(nbformat.writes(notebook()) + "\n", encoding="utf-8")
    print(path)
    return path


if __name__ == "__main__":
    main(sys.argv[1:])
