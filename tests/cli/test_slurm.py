"""Slurm jobs that are written without Slurm; tests/cluster uses a Slurm cluster."""

import itertools
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import nibabel as nib
import nnunets
import numpy as np
import pytest

from bids_stroke.bids.index import DATABASE
from bids_stroke.cli import slurm


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A dataset of three participants; the image of the last one is in template space."""
    for name in ("sub-01_T1w", "sub-02_T1w", "sub-03_space-MNI152NLin6Asym_T1w"):
        path = tmp_path / "my bids" / name[:6] / "anat" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), path)
    description = {"Name": "tested", "BIDSVersion": "1.10.0"}
    (tmp_path / "my bids" / "dataset_description.json").write_text(json.dumps(description))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return tmp_path


def run(folder, *options):
    return slurm.main([str(folder / "my bids"), str(folder / "out"), *options])


def script(folder, name):
    path = folder / "out/logs/slurm" / f"{name}.sh"
    subprocess.run(["/bin/bash", "-n", path], check=True)
    return path.read_text()


def test_jobs_are_written(folder, capsys):
    assert run(folder, "--nprocs", "2", "--mem-mb", "9000", "--mirror", "--sbatch=--partition=a") == 0
    shown = capsys.readouterr().out
    assert "2 participants to process, 0 sessions up to date" in shown
    assert f"sh {folder / 'out/logs/slurm/submit.sh'}" in shown
    text = script(folder, "participants")
    for line in ("array=0-1", "cpus-per-task=2", "mem=9000M"):
        assert f"\n#SBATCH --{line}\n" in text
    assert "participants=(01 02)" in text
    assert "sbatch --parsable --partition=a" in script(folder, "submit")
    assert (folder / "out/work/index" / DATABASE).is_file()


def test_a_job_runs_its_participant(folder):
    """The script passes the options and the folder with a space to the run."""
    run(folder, "--mirror")
    text = script(folder, "participants").replace("exec ", "exec /bin/echo ")
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(["/bin/bash", "-c", text], env=environment, capture_output=True, text=True)
    first, command = done.stdout.splitlines()
    assert first == "participants: 02"
    assert f" -m bids_stroke {folder / 'my bids'} {folder / 'out'} participant --nprocs 4 " in command
    assert command.endswith(" --mirror --participant-label 02")


def test_jobs_share_participants_of_a_large_dataset(folder, monkeypatch):
    """Slurm accepts arrays of a limited size."""
    (path,) = (folder / "my bids/sub-03/anat").glob("*.nii.gz")
    path.rename(path.with_name("sub-03_T1w.nii.gz"))
    monkeypatch.setattr(slurm, "MAX_JOBS", 2)
    run(folder)
    text = script(folder, "participants").replace("exec ", "exec /bin/echo ")
    assert "array=0-1\n" in text and "time=4:00:00" in text
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "0"}
    done = subprocess.run(["/bin/bash", "-c", text], env=environment, capture_output=True, text=True)
    assert done.stdout.strip().endswith("--participant-label 01 03")


def test_jobs_in_an_image(folder):
    image, scratch = folder / "b.sif", folder / "scratch"
    image.touch()
    assert run(folder, "--image", str(image), "-w", str(scratch)) == 0
    text = script(folder, "participants")
    bids, out = folder / "my bids", folder / "out"
    assert "exec apptainer exec --containall --no-home --nv --bind " in text
    binds = re.findall(r"--bind ('[^']*'|\S+)", text)
    assert binds[0].strip("'") == f"{bids}:{bids}:ro"
    assert {str(out), str(scratch)} <= set(binds) and scratch.is_dir()
    assert f"{image} bids_stroke-slurm '{bids}' {out} --list" in script(folder, "group")
    assert run(folder, "--image", str(folder / "missing.sif")) == 2


def add_brain_mask(folder):
    """Write a brain mask of sub-01, which a folder of ``--derivatives`` must contain."""
    path = folder / "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), path)


def binds_of(folder, *options):
    """Return the bind mounts of the jobs in an image."""
    image = folder / "b.sif"
    image.touch()
    assert run(folder, "--image", str(image), *options) == 0
    binds = {}
    for name in ("participants", "group"):
        words = shlex.split(script(folder, name).split("exec ", 1)[1].splitlines()[0])
        binds[name] = {b for a, b in itertools.pairwise(words) if a == "--bind"}
    return binds


def test_files_are_bound_however_they_are_named(folder):
    """An option with =, and an option of the group level."""
    masks, truth = folder / "masks", folder / "truth"
    add_brain_mask(masks)
    truth.mkdir()
    options = [f"--derivatives={masks}", "--ground-truth", str(truth)]
    binds = binds_of(folder, *options)
    assert {f"{masks}:{masks}:ro", f"{truth}:{truth}:ro"} <= binds["participants"] & binds["group"]


def test_a_link_to_a_network_for_brain_extraction_is_resolved(folder):
    """The image has only the folders that are bound."""
    net = nnunets.write(folder / "net", nnunets.architecture(), (2, 2, 2), (16, 16, 16), steps=0)
    (folder / "link").symlink_to(net)
    binds = binds_of(folder, "--brain-extraction", f"nnunet:{folder / 'link'}")
    assert f"{net}:{net}:ro" in binds["participants"]
    assert f" --brain-extraction nnunet:{net} " in script(folder, "participants")


@pytest.mark.parametrize("image", [[], ["--image", "b.sif"]])
def test_paths_of_jobs_are_absolute(folder, monkeypatch, image):
    """The jobs may be submitted in another folder, and an image has other folders."""
    add_brain_mask(folder / "masks")
    (folder / "b.sif").touch()
    (folder / "ratings.tsv").touch()
    monkeypatch.chdir(folder)
    options = ["-w", "scratch", "--derivatives", "masks", "--qc-ratings", "ratings.tsv"]
    assert run(folder, *options, *image) == 0
    participants, group = script(folder, "participants"), script(folder, "group")
    assert f" --derivatives {folder / 'masks'}" in participants
    assert f" --qc-ratings {folder / 'ratings.tsv'}" in group
    assert all(f" --work-dir {folder / 'scratch'}" in text for text in (participants, group))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sbatch"], "--sbatch: expected one argument"),
        (["--sbatch=--comment='a"], "--sbatch: --comment='a has no closing quotation; see "),
        (["--nprocs", "0"], "--nprocs/--nthreads/--n-cpus: 0 is not a positive integer; see "),
        (["--mem", "4X"], "--mem-mb/--mem: 4X is not a size in MB, such as 16000 or 16G; see "),
        (["--image", "b.sif"], "b.sif does not exist; check --image."),
        (["--lists"], "--lists is not an option; did you mean --list?"),
        (["--group-bye", "sex"], "--group-bye is not an option; did you mean --group-by?"),
        (["--model", "nonesuch"], "Model nonesuch was not found"),
    ],
)
def test_a_wrong_option_is_reported_before_the_dataset_is_indexed(folder, words, message, capsys):
    assert run(folder, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and not (folder / "out/work/index" / DATABASE).exists()


def test_a_path_that_cannot_be_bound_is_refused(folder, capsys):
    add_brain_mask(folder / "a,b")
    (folder / "b.sif").touch()
    options = ["--image", str(folder / "b.sif"), "--derivatives", str(folder / "a,b")]
    assert run(folder, *options) == 2
    assert "a,b has a comma or a colon" in capsys.readouterr().err


def test_sessions_that_are_not_complete_are_named(folder, capsys):
    assert run(folder, "--list") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sub-01: not finished; see the log of its job in logs/slurm"
    assert lines[2].startswith("sub-03: refused: it has no usable T1w")
    assert lines[3] == "0 of 3 sessions are complete"
    assert not (folder / "out/logs").exists()


def test_a_dry_run_writes_nothing(folder, capsys):
    before = sorted(Path(folder).rglob("*"))
    assert run(folder, "--dry-run") == 1, "sub-03 would be refused"
    assert "sub-01: would run on T1w" in capsys.readouterr().out
    assert sorted(Path(folder).rglob("*")) == before


def test_jobs_have_the_options_of_a_config_file(folder):
    """The jobs do not read the file, which their machine or image may not have."""
    path = folder / "a.toml"
    path.write_text("[options]\nmirror = true\ngroup_by = 'sex'\nsession_label = ['1']\nmem = '9G'\n")
    assert run(folder, "--config-file", str(path), "--session-label", "2", "--list") == 2
    assert run(folder, "--config-file", str(path), "--participant-label", "01") == 2
    path.write_text(path.read_text().replace("session_label = ['1']\n", ""))
    assert run(folder, "--config-file", str(path), "--participant-label", "01") == 0
    participants, group = script(folder, "participants"), script(folder, "group")
    assert " --mirror " in participants and "mem=9000M" in participants
    assert " --group-by sex " in group and "a.toml" not in participants + group


def test_spellings_of_fmriprep(folder, capsys):
    assert run(folder, "--n_cpus=2", "--mem", "9G", "--notrack", "--output-spaces", "T1w") == 0
    text = script(folder, "participants")
    assert "cpus-per-task=2\n" in text and "mem=9000M\n" in text
    assert " participant --nprocs 2 --mem-mb 9000 " in text
    notes = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in notes] == ["--notrack", "--output-spaces"]


def test_options_may_precede_the_folders(folder):
    arguments = ["--mem_mb=9000", "--mirror", str(folder / "my bids"), str(folder / "out")]
    assert slurm.main(arguments) == 0
    assert " --nprocs 4 --mem-mb 9000 " in script(folder, "participants")


def test_each_job_has_the_options_of_its_level(folder):
    assert run(folder, "--mirror", "--group-by", "sex", "--participant-label", "01", "02") == 0
    participants, group = script(folder, "participants"), script(folder, "group")
    assert " --mirror " in participants and "--group-by" not in participants.split("group.sh")[0]
    (command,) = (line for line in group.splitlines() if " group " in line)
    assert command.endswith(" group --nprocs 4 --group-by sex --participant-label 01 02")
