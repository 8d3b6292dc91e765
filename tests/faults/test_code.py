"""What no file of the package does: unpickle, run a shell or text, or load weights that could run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "bids_stroke").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")])
MODULES = {"dill", "cloudpickle", "joblib", "shelve", "marshal", "telnetlib", "ftplib"}
CALLS = {
    *("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "tempfile.mktemp"),
    "pickle.Unpickler",  # reads any class; one of our own tells which it reads
}
ARCHIVES = {"extractall", "unpack_archive"}
PICKLE = {"pickle.Unpickler", "pickle.UnpicklingError"}


def called(node):
    """Name of what is called, as it is written."""
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_dangerous(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & MODULES, path
            assert getattr(node, "module", None) != "pickle", path
            assert not any(one.asname for one in node.names if one.name == "pickle"), path
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases):
            assert "find_class" in {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            assert ast.unparse(node) in PICKLE, path
        if not isinstance(node, ast.Call):
            continue
        keywords = {one.arg: ast.unparse(one.value) for one in node.keywords}
        assert called(node) not in CALLS and called(node).rpartition(".")[2] not in ARCHIVES
        assert keywords.get("shell", "False") == "False"
        assert keywords.get("allow_pickle", "False") == "False"
        if called(node) == "torch.load":
            assert keywords.get("weights_only") == "True"
