"""Tab completion in bash."""

import os
import pty
import select
import subprocess
import sys

import pytest

from bids_stroke.cli import run

pytest.importorskip("shtab")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return the path of the script, in a folder with a dataset and a model card."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "dataset").mkdir()
    (folder / "data.yaml").touch()
    path = folder / "completion.sh"
    with path.open("w") as stream:
        command = [sys.executable, "-m", "bids_stroke", "--print-completion", "bash"]
        subprocess.run(command, stdout=stream, check=True)
    return path


#: Words of a command line, the last of which is completed, and possible completions.
CASES = {
    "bids_stroke --participant": {"--participant-label"},
    "bids_stroke dataset out par": {"participant"},
    "bids_stroke dataset out participant --normalization ": {"enantiomorphic", "masked"},
    "bids_stroke dat": {"dataset"},
    "bids_stroke dataset out participant --model dat": {"dataset", "data.yaml"},
    "bids_stroke-models sh": {"show"},
    "bids_stroke-models fetch x --acc": {"--accept-license"},
    "bids_stroke-evaluate --assume-orientation ": {"RAS", "LAS"},
    "bids_stroke-review coll": {"collect"},
    "bids_stroke-review collect a b --use": {"--use-rater"},
    "bids_stroke-export out dest --to ": {"lesymap", "niistat", "svrlsm", "fmriprep", "csv"},
    "bids_stroke-slurm --sb": {"--sbatch"},
    "bids_stroke-slurm --group-b": {"--group-by"},
    "bids_stroke-simulate --re": {"--resolution"},
    "bids_stroke-train --dec": {"--decay"},
    "bids_stroke-atlases f": {"fetch"},
    "bids_stroke-tracts f": {"fetch"},
    "bids_stroke-check --h": {"--help"},
}


@pytest.mark.parametrize("line", CASES)
def test_completions(script, line):
    """The function that the script registers for the command completes its words."""
    words = line.split(" ")
    code = f"""
        source {script.name}
        COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
        function=$(complete -p {words[0]} | sed -E 's/.*-F ([^ ]+).*/\\1/')
        $function
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", code], cwd=script.parent, capture_output=True, text=True)
    assert set(done.stdout.split()) == CASES[line], done.stderr


def test_the_tab_key_completes(script):
    """In an interactive shell, as a user types."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(script.parent)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "TERM": "dumb"})
    os.write(terminal, f"source {script.name}; echo rea''dy\n".encode())
    read_until(terminal, b"ready")
    os.write(terminal, b"bids_stroke --participant-l\t")
    read_until(terminal, b"bids_stroke --participant-label ")
    os.write(terminal, b"\x15exit\n")
    os.waitpid(process, 0)


def read_until(terminal, words):
    """Read the output of a terminal until it contains some words."""
    shown = b""
    while words not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 1000)


def test_a_missing_package_is_reported(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert run.main(["--print-completion", "bash"]) == 1
    message = "Tab completion needs shtab; install it with pip install bids_stroke[completion]."
    assert capsys.readouterr().err == f"bids_stroke: error: {message}\n"
