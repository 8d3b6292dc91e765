"""The house's import contracts and the linter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_imports_point_down():
    scripts = Path(sys.executable).parent
    done = run(str(scripts / "lint-imports"), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint():
    done = run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    assert done.returncode == 0, done.stdout
