"""Resources of the machine: cores, memory, GPUs and writable folders."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

#: Size of the temporary files of a session: warps of two registrations at 1 mm, with inverses.
TEMPORARY_MB = 2000


def cores(root: Path = Path("/")) -> int:
    """Return the number of cores available to this process, by its affinity and control group."""
    available = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quotas = [
        int(quota) // int(period)
        for quota, period in map(str.split, _limits(root, "cpu", "cpu.max"))
        if quota != "max"
    ]
    return max(1, min([available, *quotas]))


def memory_mb(root: Path = Path("/")) -> int:
    """Return the memory (MB) available to this process, by the machine and its control group."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = _limits(root, "memory", "memory.max", "memory.limit_in_bytes")
    return min([machine, *(int(limit) for limit in limits if limit != "max")]) // 2**20


def _limits(root: Path, controller: str, *names: str) -> Iterator[str]:
    """Yield the limits in the files ``names`` of this process's control group and its parents.

    Docker and Slurm set them. Versions 1 and 2 of control groups are supported.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(",") and controllers:
            continue
        base = root / "sys/fs/cgroup" / (controller if controllers else "")
        group = base / path.lstrip("/")
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(base))):
            for name in names:
                try:
                    yield (folder / name).read_text().strip()
                except OSError:  # no such limit, or a group outside of the container
                    continue


def gpus(root: Path = Path("/")) -> list[str]:
    """Return the CUDA names of the visible GPUs: all, or those in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(number) for number, _ in enumerate(root.glob("dev/nvidia[0-9]*"))]
    # CUDA ignores the names after an invalid name.
    return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, visible.split(","))))


def ensure_writable_folders(work_dir: Path) -> None:
    """Set ``TMPDIR``, ``HOME`` and ``LOGNAME`` if they are unusable, as in containers.

    ``TMPDIR`` is replaced if it is not writable or has too little space, ``HOME`` if it is not
    writable, and ``LOGNAME`` if it is not set.

    Parameters
    ----------
    work_dir : Path
        The replacement is the folder ``tmp`` in it.
    """
    replacement = work_dir / "tmp"
    try:
        has_space = shutil.disk_usage(tempfile.gettempdir()).free >= TEMPORARY_MB * 2**20
    except FileNotFoundError:  # no writable folder for temporary files
        has_space = False
    if not has_space:
        replacement.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(replacement)
    home = Path(os.environ.get("HOME") or "/")
    if not (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        os.environ["HOME"] = tempfile.gettempdir()
    if "LOGNAME" not in os.environ:  # used by Nipype in the names of jobs and crash files
        os.environ["LOGNAME"] = os.environ.get("USER", f"user{os.getuid()}")
