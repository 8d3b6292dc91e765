"""The modules of the package as one tree, for tools that read files."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {"bids_stroke": "bids_stroke", "bids_stroke/pipelines": "pipelines"}


def assemble(folder: Path) -> Path:
    """Copy the modules to ``folder/bids_stroke``, the pipelines among them, and give ``folder``."""
    for target, source in FOLDERS.items():
        for path in (ROOT / source).rglob("*.py*"):
            if path.suffix in (".py", ".typed"):
                copy = folder / target / path.relative_to(ROOT / source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    shutil.copyfile(ROOT / "setup.cfg", folder / "setup.cfg")
    return folder


def modules() -> list[Path]:
    """Files of the package."""
    return sorted(path for source in FOLDERS.values() for path in (ROOT / source).rglob("*.py"))


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions, classes and methods of a module."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield node
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                yield inner


def annotated(function: ast.FunctionDef) -> bool:
    """Whether all arguments but ``self`` and ``cls``, and the result, are annotated."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += filter(None, (arguments.vararg, arguments.kwarg))
    given = [one for one in named if one.arg not in ("self", "cls")]
    return function.returns is not None and all(one.annotation is not None for one in given)
