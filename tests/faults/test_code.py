"""No module unpickles data, runs a shell, evaluates text, or loads weights that can run code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "bids_stroke").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")])
MODULES = {"dill", "cloudpickle", "joblib", "shelve", "marshal", "telnetlib", "ftplib"}
CALLS = {
    *("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "tempfile.mktemp"),
    "pickle.Unpickler",  # loads any class; a subclass must restrict the classes
}
ARCHIVES = {"extractall", "unpack_archive"}
PICKLE = {"pickle.Unpickler", "pickle.UnpicklingError"}


def called(node):
    """Return the name of the called function as written."""
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_dangerous_calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & MODULES, path
            assert getattr(node, "module", None) != "pickle", path
            assert not any(alias.asname for alias in node.names if alias.name == "pickle"), path
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases):
            assert "find_class" in {
                item.name for item in node.body if isinstance(item, ast.FunctionDef)
            }
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            assert ast.unparse(node) in PICKLE, path
        if not isinstance(node, ast.Call):
            continue
        keywords = {item.arg: ast.unparse(item.value) for item in node.keywords}
        assert called(node) not in CALLS and called(node).rpartition(".")[2] not in ARCHIVES
        assert keywords.get("shell", "False") == "False"
        assert keywords.get("allow_pickle", "False") == "False"
        if called(node) == "torch.load":
            assert keywords.get("weights_only") == "True"
