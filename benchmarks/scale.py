"""Measure a simulated cohort of the size of UK Biobank, and compute what it costs on a cluster.

    python benchmarks/scale.py FOLDER --outputs OUT [--participants 50000] [--distinct 300]
        [--page FILE] [--performance FILE]

The script writes a BIDS dataset of empty files (one session of each participant) to FOLDER. It
measures the start of the participant level on all participants, and of the job of one participant,
until the first step. It then writes derivatives: those of ``--distinct`` simulated participants, and
hard links to them for the others. It measures the group table, the group report and the opening of the
report in Chromium. FOLDER is removed at the end. The overlap map is measured on the distinct
participants.

The cost on a cluster is computed from these measurements, from the time and disk space of a participant
with T1w and FLAIR in docs/performance.md, and from the number of files in OUT. OUT is the output folder
of a few participants with T1w and FLAIR, such as that of ``studies/sample_report.py``. The tables are
written to docs/scale.md.
"""

import argparse
import re
import shutil
from pathlib import Path

import group_report
import indexing
import pandas as pd
from measurements import PERFORMANCE, markdown, write_measured

from bids_stroke.bids import index, record
from bids_stroke.cli.slurm import MAX_JOBS
from bids_stroke.cohort import participants as cohort_participants
from bids_stroke.cohort import table as cohort_table
from bids_stroke.reports.group import report as reports

PAGE = PERFORMANCE.with_name("scale.md")
CONTRASTS = "T1w and FLAIR"  # of the participant in docs/performance.md
CORES = 2  # of the machine of docs/performance.md
#: Limits of a user: quota of scratch space on a national cluster (Digital Research Alliance of Canada).
FILES, TERABYTES = 1_000_000, 20
#: Size of an array that Slurm accepts by default; time and memory of the job of the group level.
ARRAY, GROUP_HOURS, GROUP_GB = 1001, 4, 6


def measure_start(folder, participants):
    """Return the cost of a start on all participants and of a job, and the size of the index (MB)."""
    root = folder / "bids"
    paths = indexing.simulated_paths(participants, sessions=1)
    indexing.write(root, (path for path in paths if "/func/" not in path))
    command = indexing.app(root, folder)
    costs = {
        "first step, all participants": indexing.started(command),
        "first step, one participant": indexing.started([*command, "--participant-label", "00001"]),
    }
    return costs, (folder / "index" / index.DATABASE).stat().st_size / 1e6


def report(bids, out):
    """Collect the group table, and write the group report without its overlap map."""
    measured = cohort_table.collect(out, record.read_all(out))[0]
    people = cohort_participants.read_participants(bids / "participants.tsv")
    table = cohort_participants.merge_participants(measured, people)
    groups = [str(name) for name in table if name not in measured]
    reports.group_report(out, table, groups=groups)


def measure_group(folder, participants, distinct):
    """Return the cost of the parts of the group level, and of the page in a browser."""
    few, bids, out = folder / "few", folder / "bids", folder / "derivatives"
    distinct = min(participants, distinct)
    group_report.make(few / "bids", few / "derivatives", distinct)
    overlap = group_report.in_subprocess(group_report.overlap, few / "derivatives")
    group_report.make(bids, out, participants, distinct)
    costs = {
        "group table": group_report.in_subprocess(group_report.table, out),
        "group table and report": group_report.in_subprocess(report, bids, out),
    }
    page = out / "group.html"
    actions, cpu = group_report.browse(page)
    costs["group.html opens"] = actions.pop("open"), None, cpu
    costs |= {f"group.html: {name}": (seconds, None, None) for name, seconds in actions.items()}
    return costs, overlap, page.stat().st_size / 1e6


def participant_cost(path):
    """Read seconds, CPU seconds, memory and disk space (MB) of a participant from performance.md."""
    text = path.read_text().partition(f"### {CONTRASTS}: total")[2].partition("<!--")[0]
    cells = re.search(r"^\| app +\|(.*)\|$", text, re.M)[1].split("|")
    disk = re.search(r"^- derivatives and reports \(MB\): (.*)$", text, re.M)[1]
    return *map(float, cells), float(disk)


def count_files(out):
    """Return the number of files and folders, and the size of the page (MB), of a participant in an
    output folder."""
    subjects = {path.name for path in out.glob("sub-*") if path.is_dir()}
    paths = [
        path
        for pattern in ("sub-*/**/*", "sub-*", "logs/*")
        for path in out.glob(pattern)
        if any(name in path.name or name in path.parts for name in subjects)
    ]
    page = sum((out / f"{name}.html").stat().st_size for name in subjects) / 1e6
    return len(set(paths)) / len(subjects), page / len(subjects)


def compute(participants, arguments, costs, overlap, distinct):
    """Return the cost of the cohort on a cluster, and its share of the limits, as two tables."""
    seconds, cpu, memory, disk = participant_cost(arguments.performance)
    files, page = count_files(arguments.outputs)
    jobs = min(participants, MAX_JOBS)
    group_s = costs["group table and report"][2] + overlap[2] / distinct * participants
    cost = {
        "CPU time of the participants (core-hours)": participants * cpu / 3600,
        f"reserved by jobs of {CORES} cores (core-hours)": participants * seconds * CORES / 3600,
        f"time with {jobs} jobs at a time (hours)": participants / jobs * seconds / 3600,
        "start of the jobs (core-hours)": jobs * costs["first step, one participant"][2] / 3600,
        "memory of a job (MB)": memory,
        "derivatives and reports (TB)": participants * disk / 1e6,
        "files and folders of the derivatives": participants * files,
        "group level: tables, overlap map, report (CPU hours)": group_s / 3600,
        "group level: participant reports read and written (GB)": participants * page / 1e3,
    }
    peak = costs["group table and report"][1]
    needed = {
        "files and folders": (participants * files, FILES),
        "storage (TB)": (participants * disk / 1e6, TERABYTES),
        "jobs of the array": (jobs, ARRAY),
        "time of the group level (CPU hours)": (group_s / 3600, GROUP_HOURS),
        "memory of the group level (GB)": (peak / 1e3, GROUP_GB),
    }
    limits = pd.DataFrame(needed, index=["needed", "limit"]).T
    limits["share"] = limits["needed"] / limits["limit"]
    return pd.Series(cost, name="cost").to_frame(), limits.sort_values("share", ascending=False)


def main():
    """Command line."""
    command = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    command.add_argument("folder", type=Path)
    command.add_argument("--outputs", type=Path, required=True, metavar="OUT")
    command.add_argument("--participants", type=int, default=50_000)
    command.add_argument("--distinct", type=int, default=300)
    command.add_argument("--page", type=Path, default=PAGE)
    command.add_argument("--performance", type=Path, default=PERFORMANCE)
    arguments = command.parse_args()
    number, distinct = arguments.participants, min(arguments.participants, arguments.distinct)
    costs, index_mb = measure_start(arguments.folder / "start", number)
    print(costs, flush=True)
    group_costs, overlap, page_mb = measure_group(arguments.folder / "group", number, distinct)
    print(group_costs, flush=True)
    costs |= group_costs
    columns = ["seconds", "peak memory (MB)", "CPU seconds"]
    measured = pd.DataFrame(costs, index=columns).T[["seconds", "CPU seconds", "peak memory (MB)"]]
    sizes = f"Participants: {number}. Index: {index_mb:.3g} MB. group.html: {page_mb:.3g} MB."
    write_measured("measured", f"{markdown(measured)}\n\n{sizes}", arguments.page)
    cost, limits = compute(number, arguments, costs, overlap, distinct)
    write_measured("cost", markdown(cost), arguments.page)
    first = f"What breaks first: **{limits.index[0]}**, {limits['share'].iloc[0]:.2g} times the limit."
    write_measured("limits", f"{markdown(limits)}\n\n{first}", arguments.page)
    shutil.rmtree(arguments.folder)


if __name__ == "__main__":
    main()
