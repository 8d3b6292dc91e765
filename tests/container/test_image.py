"""Container images, run read-only, without network, home, user account or privileges.

``BIDS_STROKE_IMAGE`` is the name of a podman or docker image, built by ``build.sh``.
``BIDS_STROKE_SIF`` is the path of an Apptainer image, built by ``apptainer.sh``.
``BIDS_STROKE_APPTAINER`` is the command that runs it (default: apptainer).
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest

from bids_stroke import __version__
from bids_stroke.cli import simulate
from bids_stroke.evaluation import metrics
from bids_stroke.spatial import image

TRUTH = "derivatives/truth/sub-01/anat/sub-01_space-T1w_label-L_desc-truth_mask.nii.gz"
MASK = "sub-01/anat/sub-01_space-T1w_label-L_desc-T1FLAIRlesion_mask.nii.gz"


class Engine:
    """Run commands in a podman or docker image."""

    brain_extraction = "hd-bet"

    def __init__(self):
        self.image = os.environ.get("BIDS_STROKE_IMAGE")
        self.program = shutil.which("podman") or shutil.which("docker")
        if not (self.image and self.program):
            pytest.skip("there is no image: run tests/container/build.sh and set BIDS_STROKE_IMAGE")

    def run(self, *arguments, command="bids_stroke", folders=(), options=("--tmpfs", "/tmp")):
        start = [self.program, "run", "--rm", "--network", "none", "--read-only", *options]
        start += ["--user", "1234:1234", "--cap-drop", "all", "--entrypoint", command]
        for folder in folders:
            start += ["--volume", folder]
        return _run([*start, self.image, *arguments])


class Apptainer:
    """Run commands in an Apptainer image."""

    brain_extraction = "deepbet"

    def __init__(self):
        self.image = os.environ.get("BIDS_STROKE_SIF")
        self.program = shlex.split(os.environ.get("BIDS_STROKE_APPTAINER", "apptainer"))
        if not (self.image and shutil.which(self.program[0])):
            pytest.skip("there is no image: run tests/container/apptainer.sh and set BIDS_STROKE_SIF")

    def run(self, *arguments, command="bids_stroke", folders=()):
        action, program = ("run", []) if command == "bids_stroke" else ("exec", [command])
        start = [*self.program, action, "--containall", "--no-home"]
        for folder in folders:
            start += ["--bind", folder]
        return _run([*start, self.image, *program, *arguments])


def _run(command):
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module", params=[Engine, Apptainer])
def container(request):
    return request.param()


@pytest.fixture(scope="module")
def study():
    """A dataset of two participants, the second with a truncated image.

    The folder is readable by all users, unlike the folders of pytest.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        simulated(root)
        yield root


def simulated(root):
    assert simulate.main([str(root / "bids"), "--participants", "2", "--resolution", "2"]) == 0
    path = root / "bids/sub-02/anat/sub-02_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:5000])


@pytest.fixture(scope="module")
def both(container, study):
    """Run both levels; return the runs and the output folder."""
    out = study / type(container).__name__
    out.mkdir()
    out.chmod(0o777)
    folders = [f"{study / 'bids'}:/data:ro", f"{out}:/out"]
    options = ["--brain-extraction", container.brain_extraction]
    runs = {
        "participant": container.run("/data", "/out", "participant", *options, folders=folders),
        "group": container.run("/data", "/out", "group", folders=folders),
    }
    return runs, out


def test_version(container):
    done = container.run("--version")
    assert (done.returncode, done.stdout) == (0, f"bids_stroke {__version__}\n"), done.stderr


def test_check_passes(container):
    done = container.run(command="bids_stroke-check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 HD-BET networks" in done.stdout and "deepbet: version" in done.stdout
    assert "FAILED" not in done.stdout


def test_the_image_contains_no_other_files(container):
    """The folder of the image contains no compiler, headers, tests or caches."""
    script = (
        "! command -v gcc cc c++ && test ! -e /opt/bids_stroke/bin/pip && test ! -e /src && "
        "test -z \"$(find /opt/bids_stroke -name '*.h' -o -type d -name tests)\" && "
        'test -z "$(ls -A /root/.cache 2>/dev/null)" && id -u'
    )
    done = container.run("-c", script, command="sh")
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_levels(both, study):
    runs, out = both
    participant, group = runs["participant"], runs["group"]
    assert participant.returncode == 1, participant.stderr  # of sub-02
    assert "sub-02_T1w.nii.gz cannot be read as an image" in participant.stderr
    assert "Traceback" not in participant.stderr
    assert group.returncode == 0, group.stderr
    assert "1 sessions, 1 failed" in group.stdout
    truth, mask = (nib.load(path).dataobj for path in (study / "bids" / TRUTH, out / MASK))
    assert metrics.dice(mask, truth) > 0.4
    table = pd.read_csv(out / "group_lesion.tsv", sep="\t")
    assert list(table["participant_id"]) == ["sub-01"] and (out / "group.html").is_file()


def test_all_recorded_outputs_exist(both):
    _, out = both
    entry = json.loads((out / "logs/sub-01_run.json").read_text())
    assert entry["status"] == "ok" and len(entry["outputs"]) > 20
    for path in map(out.joinpath, entry["outputs"].values()):
        assert path.stat().st_size
        if path.name.endswith(".nii.gz"):
            image.load(path)
    assert list(out.rglob(".partial*")) == []


def test_a_second_run_is_up_to_date(both, container, study):
    _, out = both
    folders = [f"{study / 'bids'}:/data:ro", f"{out}:/out"]
    options = ["--participant-label", "01", "--brain-extraction", container.brain_extraction]
    done = container.run("/data", "/out", "participant", *options, folders=folders)
    assert done.returncode == 0 and "sub-01: up to date" in done.stderr, done.stderr


def test_without_any_folder_for_temporary_files(study):
    """Only the output folder is writable and there is no home; the run still finishes."""
    engine = Engine()
    out = study / "only"
    out.mkdir()
    out.chmod(0o777)
    folders = [f"{study / 'bids'}:/data:ro", f"{out}:/out"]
    options = ["--env", "HOME=/missing"]
    options += ["--read-only-tmpfs=false"] if engine.program.endswith("podman") else []
    label = ["--participant-label", "02"]
    done = engine.run("/data", "/out", "participant", *label, folders=folders, options=options)
    assert done.returncode == 1
    assert "sub-02_T1w.nii.gz cannot be read as an image" in done.stderr, done.stderr
    assert list((out / "work/tmp").glob("bids_stroke-*")) == []
