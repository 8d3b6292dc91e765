"""``bids_stroke-slurm``: run participants as a Slurm job array, then the group level."""

import argparse
import hashlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.execution import resources
from bids_stroke.settings import LEVELS, Settings

from . import config_file
from . import options as run_options
from .command import CommandParser, print_notices, run
from .given import named_actions, read_given, to_words
from .option_groups import CORES, MEMORY, megabytes, positive
from .parser import absolute, notices, parse

#: Given options of ``bids_stroke`` by name.
Options: TypeAlias = Mapping[str, Any]

_EPILOG = """\
Run the same command again to submit failed and new participants.

examples:
  bids_stroke-slurm /data /out --sbatch="--partition=long --account=lab"
  bids_stroke-slurm /data /out --image bids_stroke.sif --mirror
  bids_stroke-slurm /data /out --list
"""
MAX_JOBS = 1000  # of an array; Slurm accepts 1001 unless its administrator allows more
_PARTICIPANTS = """\
#!/bin/bash
#SBATCH --job-name={job}
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={cores}
#SBATCH --mem={memory}M
#SBATCH --time={hours}:00:00
#SBATCH --output={array_log}
participants=({labels}) labels=()
for ((n = SLURM_ARRAY_TASK_ID; n < ${{#participants[@]}}; n += {jobs})); do
    labels+=("${{participants[n]}}"); done
echo "participants: ${{labels[*]}}"
exec {app} participant {options} --participant-label "${{labels[@]}}"
"""
_GROUP = """\
#!/bin/bash
#SBATCH --job-name={job}
#SBATCH --cpus-per-task=1
#SBATCH --mem={memory}M
#SBATCH --time=04:00:00
#SBATCH --output={group_log}
{app} group {group_options}
status=$?
{list} || status=1
exit $status
"""
_SUBMIT = """\
#!/bin/sh
set -eu
if [ -n "$(squeue --noheader --me --name={job})" ]; then
    echo "jobs named {job} are still in the queue; wait until they end, or cancel them with:" >&2
    echo "  scancel --me --name={job}" >&2
    exit 1
fi
after=
if [ -f {participants} ]; then
    array=$(sbatch --parsable {sbatch} {participants})
    after=--dependency=afterany:${{array%%;*}}
    echo "participants: job ${{array%%;*}}"
fi
group=$(sbatch --parsable $after {sbatch} {group})
echo "group level: job ${{group%%;*}}"
"""


def parser() -> CommandParser:
    """Return the parser of the command, with the options of ``bids_stroke``."""
    command = CommandParser(
        prog="bids_stroke-slurm",
        description="Process a dataset on a Slurm cluster: a job array with one job for each\n"
        f"incomplete participant (at most {MAX_JOBS}, which share them), then a group-level job.",
        epilog=_EPILOG,
        formatter_class=run_options.Help,
        conflict_handler="resolve",
    )
    command.add_argument("bids_dir", type=Path, help="root folder of the BIDS dataset")
    command.add_argument("output_dir", type=Path, help="output folder for the derivatives")
    run_options.add_options(command)
    jobs = command.add_argument_group("jobs")
    jobs.add_argument(
        "--image",
        type=Path,
        metavar="SIF",
        help="run in this Apptainer image (default: run the installed bids_stroke)",
    )
    jobs.add_argument(
        "--sbatch",
        type=_split,
        default=[],
        metavar="OPTIONS",
        help="additional options of sbatch, such as --sbatch=--partition=long",
    )
    jobs.add_argument(*CORES, type=positive, default=4, metavar="N", help="cores per job")
    jobs.add_argument(
        *MEMORY,
        type=megabytes,
        default=6000,
        metavar="MB",
        help="memory per job in MB, or with a unit, such as 16G",
    )
    jobs.add_argument(
        "--list", action="store_true", help="list the incomplete sessions without submitting jobs"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status.

    The status is 1 if sessions are incomplete (``--list``) or refused (``--dry-run``), or if Slurm
    reports an error.
    """
    return run(parser().prog, lambda: _run(sys.argv[1:] if argv is None else argv), argv)


def _split(text: str) -> list[str]:
    """Split options in the syntax of a shell."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} has {str(error).lower()}") from None


def _run(words: Sequence[str]) -> int:
    arguments, options = parser().parse_args(words), _given(words)
    settings, group = _settings(arguments, options)
    print_notices(parser().prog, notices(options))
    if settings.dry_run:
        from bids_stroke.execution.participant import run_participants

        return run_participants(settings)
    resources.ensure_writable_folders(settings.work_dir)
    if arguments.list:
        return list_unfinished(settings)
    return submit(settings, group, arguments, options)


def _given(words: Sequence[str]) -> dict[str, Any]:
    """Return the given options of ``bids_stroke``, without those of this command.

    They include the options of ``--config-file``, which the jobs do not read. Paths are absolute, since
    the jobs may start in another folder.
    """
    names, values = named_actions(run_options.build()), read_given(words, parser())
    path = values.pop("config_file", None)
    file_values = [config_file.read(path, level) for level in LEVELS] if path else []
    merged = {name: value for source in (*file_values, values) for name, value in source.items()}
    return absolute({name: value for name, value in merged.items() if name in names})


def _settings(arguments: argparse.Namespace, options: Options) -> tuple[Settings, Settings]:
    """Settings of the jobs of participants, which share one index of the dataset, and of the group
    level."""
    folders = [str(arguments.bids_dir), str(arguments.output_dir)]
    settings, group = (parse([*folders, level, *_words(options, [level])]) for level in LEVELS)
    if settings.bids_database_dir is None and not settings.dry_run:
        settings = replace(settings, bids_database_dir=settings.work_dir / "index")
    return settings, group


def _words(options: Options, levels: Sequence[str] = LEVELS) -> list[str]:
    """Return the words that give the options of some levels."""
    return to_words(options, run_options.build(), levels)


def list_unfinished(settings: Settings) -> int:
    """Print every incomplete session with the reason; return 1 if there are any, else 0."""
    from bids_stroke.bids import record as records
    from bids_stroke.execution.plan import make_plan

    plan = make_plan(settings)
    for job in plan.jobs:
        record = records.read(settings.output_dir, job.session.name)
        reason = "not finished; see the log of its job in logs/slurm"
        if record and record.status != records.UNFINISHED:
            reason = record.error or "its options, images or outputs have changed since"
        print(f"{job.session.name}: {reason}")
    refused = [session for session in plan.skipped if session.refused]
    for session in refused:
        print(f"{session.name}: {session.status}: {session.reason}")
    print(f"{len(plan.done)} of {len(plan.sessions) + len(refused)} sessions are complete")
    return 1 if plan.jobs or refused else 0


def submit(settings: Settings, group: Settings, arguments: argparse.Namespace, options: Options) -> int:
    """Write the jobs to ``logs/slurm``, and submit them if Slurm is available.

    Parameters
    ----------
    settings, group : Settings
        Settings of the participant level and of the group level.
    arguments : argparse.Namespace
        Arguments from :func:`bids_stroke.cli.slurm.parser`.
    options : mapping of str to object
        Given options of ``bids_stroke``, as from :func:`bids_stroke.cli.given.read_given`.

    Raises
    ------
    ResourceError
        If Slurm does not accept the jobs.
    UsageError
        If the image of the jobs does not exist.
    """
    from bids_stroke.bids import index
    from bids_stroke.execution.plan import check_options, make_plan

    if arguments.image and not arguments.image.exists():
        raise UsageError(f"{arguments.image} does not exist; check --image.")
    check_options(settings)
    assert settings.bids_database_dir is not None
    index.write(settings.bids_dir, settings.bids_database_dir)
    plan = make_plan(settings)
    labels = list(dict.fromkeys(job.session.subject for job in plan.jobs))
    script = write_jobs(settings, group, labels, arguments, options)
    print(f"{len(labels)} participants to process, {len(plan.done)} sessions up to date")
    if not shutil.which("sbatch"):
        print(f"sbatch was not found; submit the jobs on the cluster with: sh {script}")
        return 0
    done = subprocess.run(["sh", script], capture_output=True, text=True)
    print(done.stdout, end="")
    if done.returncode:
        raise ResourceError(f"Slurm did not accept the jobs of {script}: {done.stderr.strip()}")
    return 0


def write_jobs(
    settings: Settings,
    group: Settings,
    labels: Sequence[str],
    arguments: argparse.Namespace,
    options: Options,
) -> Path:
    """Write the scripts of the jobs and a script that submits them; return the path of the latter.

    Parameters
    ----------
    settings, group, arguments, options
        As for :func:`bids_stroke.cli.slurm.submit`.
    labels : sequence of str
        Participants to process.
    """
    from bids_stroke.utils import files

    folder = settings.output_dir / "logs" / "slurm"
    paths = {name: folder / f"{name}.sh" for name in ("participants", "group", "submit")}
    if not arguments.image:
        app, listing = ([sys.executable, "-m", f"bids_stroke{part}"] for part in ("", ".cli.slurm"))
    else:
        from . import apptainer  # slow to load

        app, listing = apptainer.commands(settings, group, arguments.image.absolute())
        options = apptainer.with_bound_models(settings, options)
    folders = [str(settings.bids_dir), str(settings.output_dir)]
    sizes = {"nprocs": arguments.nprocs, "mem_mb": arguments.mem_mb}
    options = {**sizes, "bids_database_dir": settings.bids_database_dir, **options}
    jobs = min(len(labels), MAX_JOBS)
    values = {
        "job": f"bids_stroke-{hashlib.sha256(folders[1].encode()).hexdigest()[:8]}",
        "last": jobs - 1,
        "jobs": jobs,
        "hours": 4 * ceil(len(labels) / (50 * jobs)) if jobs else 0,
        "cores": options["nprocs"],
        "memory": options["mem_mb"],
        "array_log": shlex.quote(f"{folder}/%A_%a.log"),
        "group_log": shlex.quote(f"{folder}/group_%j.log"),
        "labels": " ".join(labels),
        "app": shlex.join([*app, *folders]),
        "list": shlex.join([*listing, *folders, "--list", *_words(options)]),
        "options": shlex.join(_words(options, ["participant"])),
        "group_options": shlex.join(_words(options, ["group"])),
        "sbatch": shlex.join(arguments.sbatch),
        **{name: shlex.quote(str(path)) for name, path in paths.items()},
    }
    texts = {"group": _GROUP, "submit": _SUBMIT} | ({"participants": _PARTICIPANTS} if labels else {})
    paths["participants"].unlink(missing_ok=True)
    for name, text in texts.items():
        with files.atomic(paths[name]) as partial:
            partial.write_text(text.format(**values))
    return paths["submit"]


if __name__ == "__main__":
    sys.exit(main())
