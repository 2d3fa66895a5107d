"""Writes the reference of every op from the registry.        python -m tinygrad_edu.reference out/docs"""

from __future__ import annotations

import sys
from pathlib import Path

import tinygrad_edu  # noqa: F401  (registers every op)
from tinygrad_edu.ops.registry import Op, registry


def entry(op: Op) -> str:
    """The Markdown of one op: signature, docstring with formula and backward rules, where it is defined."""
    star = "*" if op.variadic else ""
    parts = [star + op.inputs[0], *op.inputs[1:]]
    parts += [f"{name}={op.defaults[name]!r}" if name in op.defaults else name for name in op.params]
    doc = "\n".join(line[4:] if line.startswith("    ") else line for line in (op.__doc__ or "").splitlines())
    shape = "elementwise, broadcasting" if op.elementwise else "view" if op.view else "own shape rule"
    return (
        f"## {op.name}  `{op.symbol}`\n\n`{op.name}({', '.join(parts)})`\n\n```text\n{doc.strip()}\n```\n\n"
        f"{shape}; defined in `{op.__module__}`\n"
    )


def page() -> str:
    """The whole reference."""
    head = (
        "# Every op of tinygrad_edu\n\nMade from the op registry by `make docs`; `dL/dout` is the incoming gradient.\n"
    )
    return "\n".join([head, *(entry(registry[name]) for name in sorted(registry))])


def main(folder: str = "out/docs") -> Path:
    """Write ops.md into `folder`."""
    path = Path(folder) / "ops.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")
    print(f"{len(registry)} ops: {path}")
    return path


if __name__ == "__main__":
    main(*sys.argv[1:2])
