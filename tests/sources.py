"""The modules of the package as one tree, for tools that read source files."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {"bids_stroke": "bids_stroke", "bids_stroke/pipelines": "pipelines"}


def assemble(folder: Path) -> Path:
    """Copy the modules, including the pipelines, to ``folder/bids_stroke``; return ``folder``."""
    for target, source in FOLDERS.items():
        for path in (ROOT / source).rglob("*.py*"):
            if path.suffix in (".py", ".typed"):
                copy = folder / target / path.relative_to(ROOT / source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    shutil.copyfile(ROOT / "setup.cfg", folder / "setup.cfg")
    return folder


def modules() -> list[Path]:
    """Return the modules of the package."""
    return sorted(path for source in FOLDERS.values() for path in (ROOT / source).rglob("*.py"))


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield the public functions, classes and methods of a module."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield node
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                yield inner


def annotated(function: ast.FunctionDef) -> bool:
    """Return whether the result and all arguments except ``self`` and ``cls`` are annotated."""
    signature = function.args
    arguments = [*signature.posonlyargs, *signature.args, *signature.kwonlyargs]
    arguments += filter(None, (signature.vararg, signature.kwarg))
    arguments = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    return function.returns is not None and all(argument.annotation for argument in arguments)
