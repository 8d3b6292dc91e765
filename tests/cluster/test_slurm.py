"""Tests on a Slurm cluster: job array, group level, and the Slurm plugin of Nipype."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_stroke.cli import simulate
from bids_stroke.spatial import image
from bids_stroke.spatial.templates import TEMPLATE, template

pytestmark = pytest.mark.skipif(
    "BIDS_STROKE_SLURM" not in os.environ,
    reason="there is no Slurm to test with: tests/cluster/slurm.sh starts one and runs a command",
)


@pytest.fixture
def bids(tmp_path):
    """Lesion masks of three participants in template space; the second one is truncated."""
    root = tmp_path / "bids"
    mask = np.zeros(template().t1w.shape, np.uint8)
    mask[70:85, 100:120, 80:100] = 1
    for label in ("01", "02", "03"):
        name = f"sub-{label}/anat/sub-{label}_space-{TEMPLATE}_label-L_mask.nii.gz"
        image.save(nib.Nifti1Image(mask, template().t1w.affine), root / name)
    (root / "dataset_description.json").write_text('{"Name": "masks", "BIDSVersion": "1.10.0"}')
    path = mask_of(root, "02")
    path.write_bytes(path.read_bytes()[:500])
    return root


def mask_of(root, label):
    (path,) = root.glob(f"sub-{label}/anat/*_mask.nii.gz")
    return path


def command(module, bids, out, *options):
    done = subprocess.run(
        [sys.executable, "-m", module, str(bids), str(out), *options], capture_output=True, text=True
    )
    return done


def submit(bids, out):
    """Submit the jobs, wait for the group level, and return the exit status of each job."""
    options = ["--nprocs", "1", "--mem-mb", "4000", "--lesion-derivatives", str(bids)]
    done = command("bids_stroke.cli.slurm", bids, out, *options)
    assert done.returncode == 0, done.stderr
    group = done.stdout.rpartition("group level: job ")[2].strip()
    # An empty job that starts after the group level has ended with any status.
    wait = ["sbatch", "--wait", f"--dependency=afterany:{group}", "--output=/dev/null", "--wrap=true"]
    subprocess.run(wait, check=True, capture_output=True)
    shown = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"], check=True, capture_output=True, text=True
    )
    jobs = [
        dict(part.split("=", 1) for part in line.split() if "=" in part)
        for line in shown.stdout.splitlines()
    ]
    return done.stdout, {
        job.get("ArrayTaskId", "group"): int(job["ExitCode"].partition(":")[0])
        for job in jobs
        if group == job["JobId"] or f"participants: job {job.get('ArrayJobId')}\n" in done.stdout
    }


def test_an_array_and_the_group(bids, tmp_path):
    out = tmp_path / "out"
    printed, statuses = submit(bids, out)
    assert "3 participants to process, 0 sessions up to date" in printed
    assert statuses == {"0": 0, "1": 1, "2": 0, "group": 1}
    table = pd.read_csv(out / "group_lesion.tsv", sep="\t")
    assert list(table["participant_id"]) == ["sub-01", "sub-03"]
    (log,) = (out / "logs/slurm").glob("group_*.log")
    assert f"{mask_of(bids, '02').name} cannot be read as an image" in log.read_text()
    assert "2 of 3 sessions are complete" in log.read_text()

    listed = command("bids_stroke.cli.slurm", bids, out, "--list", "--lesion-derivatives", str(bids))
    assert listed.returncode == 1
    assert listed.stdout.startswith("sub-02: ") and listed.stdout.count("sub-") == 3

    # With a complete mask, the same command processes only this participant.
    whole = mask_of(bids, "01").read_bytes()
    mask_of(bids, "02").write_bytes(whole)
    printed, statuses = submit(bids, out)
    assert "1 participants to process, 2 sessions up to date" in printed
    assert statuses == {"0": 0, "group": 0}
    assert len(pd.read_csv(out / "group_lesion.tsv", sep="\t")) == 3


def test_the_plugin_of_nipype(tmp_path):
    """Each step is a job; steps that may use a GPU run on the GPU partition."""
    bids = tmp_path / "bids"
    assert simulate.main([str(bids), "--participants", "1", "--resolution", "2"]) == 0
    (tmp_path / "plugin.yml").write_text(
        "plugin: SLURM\n"
        "plugin_args: {sbatch_args: --partition=cpu --comment=cpu, max_jobs: 2}\n"
        "gpu_plugin_args: {sbatch_args: --partition=gpu --comment=gpu, overwrite: true}\n"
    )
    options = ["--plugin-file", str(tmp_path / "plugin.yml"), "--brain-extraction", "deepbet"]
    out = tmp_path / "out"
    done = command("bids_stroke", bids, out, "participant", *options)
    assert done.returncode == 0, done.stderr
    entry = json.loads((out / "logs/sub-01_run.json").read_text())
    assert entry["status"] == "ok"
    shown = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"], check=True, capture_output=True, text=True
    )
    partitions = {}
    for line in shown.stdout.splitlines():
        job = dict(part.split("=", 1) for part in line.split() if "=" in part)
        if "session_wf" in job["JobName"]:
            partitions[job["JobName"].split(".")[0]] = job["Partition"]
    assert {name: where for name, where in partitions.items() if where == "gpu"} == {
        "extract": "gpu",
        "segment": "gpu",
    }
    assert partitions["normalize"] == "cpu" and not any("ds_" in name for name in partitions)
