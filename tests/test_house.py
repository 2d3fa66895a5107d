"""The rules of the house: imports point one way, importing is light, files are short, all is documented."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_edu

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tinygrad_edu"

# From the ground up: a module imports modules of its own layer or of those above it in this list, never below.
LAYERS = [
    ["errors", "missing", "version"],
    ["kernels"],
    ["ops"],
    ["autograd.modes", "autograd.versions", "autograd.node", "autograd.engine", "autograd.anomaly"]
    + ["dtypes", "device", "random"],
    ["autograd"],  # the package itself names what is above it, and loads it on first use
    ["recording", "conversions", "gradient"],
    ["tensor"],
    ["functions"],
    ["linalg"],
    ["methods", "creation", "printing"]
    + ["autograd.functional", "autograd.graph", "autograd.records", "autograd.formulas", "autograd.lanes"]
    + ["autograd.tape", "autograd.worked"]
    + ["autograd.calls", "autograd.context", "autograd.function", "autograd.derivatives", "autograd.checks"]
    + ["storing", "saving"],
    ["nn", "optim", "utils", "distributions"],
    ["datasets", "testing", "train", "derivation", "summary", "compile", "reference", "coverage"] + ["explanations"],
]
# Late imports that point up, each with its reason.
DOCUMENTED = {
    ("conversions", "printing"): "repr needs the printer, which needs the tensor's parts",
}


def layer_of(module: str) -> int | None:
    """The place in LAYERS of a module of the package, by its longest listed prefix; None if it is in none."""
    best, place = "", None
    for k, names in enumerate(LAYERS):
        for name in names:
            if (module == name or module.startswith(name + ".")) and len(name) > len(best):
                best, place = name, k
    return place


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path: Path, package: str) -> list[tuple[str, int]]:
    """Every imported module, with its line; those under TYPE_CHECKING are left out."""
    found: list[tuple[str, int]] = []

    def visit(node: ast.AST) -> None:
        if is_type_checking(node):
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            found.extend((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def modules(folder: Path = PACKAGE) -> list[tuple[str, Path]]:
    """(dotted name below the package, path) of every module."""
    out = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        out.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return out


def test_every_module_has_a_layer():
    unknown = [name for name, _ in modules() if name and layer_of(name) is None]
    assert not unknown, f"add them to LAYERS: {unknown}"


def test_imports_point_one_way():
    wrong = []
    for name, path in modules():
        if not name:
            continue  # the package itself offers everything
        package = "tinygrad_edu." + (name if path.name == "__init__.py" else name.rpartition(".")[0])
        for target, line in imports(path, package.rstrip(".")):
            if not target.startswith("tinygrad_edu."):
                continue
            target = target.removeprefix("tinygrad_edu.")
            mine, other = layer_of(name), layer_of(target)
            if other is not None and mine is not None and other > mine:
                top = (name.split(".")[0], target.split(".")[0])
                if top not in DOCUMENTED:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}, which is above it")
    assert not wrong, "\n".join(wrong)


def test_the_engine_never_imports_pictures():
    for _, path in modules():
        names = [target for target, _ in imports(path, "tinygrad_edu")]
        assert not [n for n in names if n.split(".")[0] in ("visualize", "demos", "benchmarks", "tests")], path


def test_pictures_read_the_records_only():
    """visualize/ knows the graph as frozen records; of the engine it may import nothing that computes or records."""
    forbidden = ("recording", "ops", "kernels", "autograd.engine", "autograd.node", "functions", "methods")
    for path in sorted((ROOT / "visualize").rglob("*.py")):
        for target, line in imports(path, "visualize"):
            short = target.removeprefix("tinygrad_edu.")
            assert target == short or not short.startswith(forbidden), f"{path}:{line} imports {target}"


def test_kernels_and_ops_know_no_tensor():
    for name, path in modules():
        if name.split(".")[0] in ("kernels", "ops"):
            assert not re.search(r"\bTensor\(", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("folder", ["tinygrad_edu", "visualize"])
def test_no_file_is_long(folder):
    long = {}
    for path in (ROOT / folder).rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > 420:
            long[str(path.relative_to(ROOT))] = lines
    assert not long, f"split them: {long}"


def test_importing_is_light():
    heavy = {
        "numba",
        "matplotlib",
        "graphviz",
        "pygraphviz",
        "hypothesis",
        "pooch",
        "rich",
        "torch",
        "scipy",
        "visualize",
    }
    code = "import sys, tinygrad_edu; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    command = [sys.executable, "-W", "error", "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert not heavy & set(out.stdout.split())


def public_objects():
    """Every public function, class and method that tinygrad_edu defines."""
    seen = set()
    for info in pkgutil.walk_packages(tinygrad_edu.__path__, "tinygrad_edu."):
        if ".compiled" in info.name or info.name.endswith("__main__"):
            continue
        module = __import__(info.name, fromlist=["_"])
        for name, value in vars(module).items():
            if name.startswith("_") or not (inspect.isfunction(value) or inspect.isclass(value)):
                continue
            if "<" in value.__qualname__ or isinstance(vars(value).get("__doc__"), property):
                continue  # a lambda; Op, whose instances write their own
            if not (value.__module__ or "").startswith("tinygrad_edu") or value in seen:
                continue
            seen.add(value)
            yield f"{value.__module__}.{value.__qualname__}", value
            if inspect.isclass(value):
                for attribute, member in vars(value).items():
                    if inspect.isfunction(member) and not attribute.startswith("_"):
                        yield f"{value.__module__}.{value.__qualname__}.{attribute}", member


def test_everything_public_has_a_docstring():
    missing = sorted({name for name, value in public_objects() if not (inspect.getdoc(value) or "").strip()})
    assert not missing, "\n".join(missing)


def test_every_name_offered_exists_and_is_documented():
    for name in dir(tinygrad_edu):
        value = getattr(tinygrad_edu, name)
        if not name.startswith("_") and callable(value):
            assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = tinygrad_edu.no_such_name


def test_the_project_mentions_no_path_of_the_workplace():
    here = Path(__file__).resolve()
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    tracked = listed.stdout.split("\n")
    words = re.compile("/" + "work/|" + "shared" + "/")
    for name in filter(None, tracked):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".cfg", ".toml", ".txt", ".yml", "") and path.is_file() and path != here:
            found = words.search(path.read_text(encoding="utf-8", errors="ignore"))
            assert not found, f"{name} mentions {found.group()}"
