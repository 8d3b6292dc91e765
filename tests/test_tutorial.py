"""Test that runs every command of the tutorial in order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


@pytest.mark.exhaustive
def test_tutorial(tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    install, *commands = blocks
    assert install.startswith("make install\n") and len(commands) >= 7
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euc", "\n".join(["bids_stroke-check", *commands])],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "exit status 1" in done.stdout  # only for the damaged image
    assert done.stdout.count("exit status") == 1
    for name in (
        "out/sub-01.html",
        "out/group.html",
        "out/evaluation/evaluation.html",
        "out/group_agreement.tsv",
        "own/group.html",
        "repaired/sub-02.html",
    ):
        assert (tmp_path / "tutorial" / name).is_file(), name
