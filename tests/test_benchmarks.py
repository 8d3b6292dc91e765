"""Smoke tests of the benchmarks on small data: they run and write their tables."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bids_stroke.spatial import grid, image, templates

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(name, *arguments):
    """Run a benchmark and return its output."""
    command = [sys.executable, BENCHMARKS / f"{name}.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(page, row):
    """Return the cells of a row of the table on a page."""
    line = next(line for line in page.read_text().splitlines() if line.startswith(f"| {row}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_indexing(tmp_path):
    page = tmp_path / "page.md"
    run("indexing", "--participants", 3, "--page", page)
    files, *seconds = table(page, "3 made-up participants")
    assert files == "72" and all(map(float, seconds))


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium to open the page")
def test_group_report(tmp_path):
    page = tmp_path / "page.md"
    run("group_report", tmp_path / "work", "--participants", 4, "--page", page)
    for row in ("participants", "table (s)", "overlap map (s)", "masks inflated", "page: sort (s)"):
        assert float(table(page, row)[0]) > 0


@pytest.mark.exhaustive
def test_growth(shared, tmp_path):
    page = tmp_path / "page.md"
    run("growth", "--voxels", "--lesions", 1, 64, "--participants", "--threads", "--page", page)
    number, *_, exponent = table(page, "lesions")
    assert number == "1" and float(exponent) < 1


def test_outcome(shared, tmp_path):
    page = tmp_path / "page.md"
    small = ("--patients", 30, "--permutations", 9, "--copies", 60, "--jobs", 1)
    run("outcome", *small, "--page", page)
    for row in ("masks read", "voxels", "voxels, Nilearn", "ratio", "regions", "voxels, 60"):
        assert float(table(page, row)[0]) > 0


@pytest.mark.exhaustive
def test_participant(shared, tmp_path):
    page = tmp_path / "page.md"
    arguments = ["--heads", "T1w and FLAIR", "--voxel", 4, "--trial"]
    arguments += ["--comparisons", "default", "fast"]
    run("participant", *arguments, "--work", tmp_path, "--page", page)
    for row in ("ratio, app", "ratio, app, shared steps", "syn", "monai", "rigid, fast"):
        assert all(float(cell) > 0 for cell in table(page, row))
    text = page.read_text()
    disk = [float(line.rpartition(" ")[2]) for line in text.splitlines() if "(MB):" in line]
    assert len(disk) == 6 and disk[0] > disk[1] and disk[2] > 1
    run("participant", *arguments, "--work", tmp_path, "--page", page, "--agreement")
    for row in ("brain masks", "tissues on the template, app", "tissues on the template, chain"):
        assert float(table(page, row)[0]) > 0.3


def test_denormals(tmp_path):
    page = tmp_path / "page.md"
    run("denormals", "--side", 32, "--page", page)
    for row in ("as published", "the app, single precision", "the app"):
        assert float(table(page, row)[0]) > 0
    assert "45% of the weights are denormal numbers" in page.read_text()


def test_rigid(shared, tmp_path):
    page = tmp_path / "page.md"
    run("rigid", "--heads", "patient03_study2", "--voxel", 4, "--page", page)
    rows = [line for line in page.read_text().splitlines() if line.startswith("| patient03_study2")]
    distances = [float(row.strip("|").split("|")[-2]) for row in rows]
    assert distances[0] == 0 and max(distances) < 2


def test_planes():
    assert "1 planes: " in run("planes", "--filled", 0.05, "--planes", 1)


def test_agreement_window():
    assert run("agreement_window").count("times as fast") == 3


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium to open the page")
def test_scale(tmp_path):
    """The last participants are links to the first, and the folder is removed."""
    page, outputs = tmp_path / "page.md", tmp_path / "out"
    for name in ("sub-01.html", "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz", "logs/sub-01.log"):
        (outputs / name).parent.mkdir(parents=True, exist_ok=True)
        (outputs / name).write_text("x")
    small = ("--participants", 4, "--distinct", 2, "--outputs", outputs)
    run("scale", tmp_path / "work", *small, "--page", page)
    for row in ("first step, all participants", "group table", "group.html opens", "jobs of the array"):
        assert float(table(page, row)[0]) > 0
    assert float(table(page, "files and folders of the derivatives")[0]) == 4 * 5
    assert "What breaks first: **memory of the group level (GB)**, 0.0" in page.read_text()
    assert not (tmp_path / "work").exists()


@pytest.mark.exhaustive
def test_gpu(tmp_path):
    """On the CPU, with the packed packages and without those that a machine may lack."""
    voxels = grid.regrid(templates.template().t1w, (4.0,) * 3, order=0)
    head = image.save(voxels, tmp_path / "head.nii.gz")
    packed = ("--head", head, "--contrast", "T1w", "--voxel", 4, "--extraction", "none")
    assert float(run("gpu", "pack", tmp_path / "packed", *packed).split()[0]) < 64
    page, site = tmp_path / "page.md", tmp_path / "packed/site"
    script = (
        "import runpy, sys; sys.modules |= dict.fromkeys(('ants', 'nilearn', 'nipype', 'bids'));"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__');"
        "import monai, nibabel; print(monai.__file__, nibabel.__file__)"
    )
    words = [BENCHMARKS / "gpu.py", "run", tmp_path / "packed", "--device", "cpu", "--trial"]
    environment = {**os.environ, "PYTHONPATH": f"{site}:{BENCHMARKS}:{BENCHMARKS.parent}"}
    command = [sys.executable, "-c", script, *map(str, words), "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(site)) for path in done.stdout.split()[-2:])
    for name in ("HD-BET", "segmentation"):
        assert float(table(page, f"{name} (s)")[0]) > 0
        assert table(page, f"{name}, lack of memory: fell back")[0] == "yes"
        assert float(table(page, f"{name}, lack of memory: against")[0]) > 0.99
        assert float(table(page, f"{name}: bfloat16 against float32")[0]) > 0.9
    assert float(table(page, "two participants on one card (s)")[0]) > 0
