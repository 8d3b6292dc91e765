"""What the machine offers a run: cores, memory, GPUs, and places to write."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

#: Temporary files of a session: the warps of two registrations at 1 mm, and their inverses.
TEMPORARY_MB = 2000


def cores(root: Path = Path("/")) -> int:
    """Cores of the machine that this process may use, by its affinity and its control group."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [
        int(quota) // int(period)
        for quota, period in map(str.split, _limits(root, "cpu", "cpu.max"))
        if quota != "max"
    ]
    return max(1, min([seen, *quotas]))


def memory_mb(root: Path = Path("/")) -> int:
    """Memory that this process may use, by the machine and by its control group."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = _limits(root, "memory", "memory.max", "memory.limit_in_bytes")
    return min([machine, *(int(limit) for limit in limits if limit != "max")]) // 2**20


def _limits(root: Path, controller: str, *names: str) -> Iterator[str]:
    """What the files ``names`` hold in this process's control group (versions 1 and 2) and in those
    above, as Docker and Slurm set them."""
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
        for folder in (group, *(above for above in group.parents if above.is_relative_to(base))):
            for name in names:
                try:
                    yield (folder / name).read_text().strip()
                except OSError:  # no such limit, or a group seen from inside a container
                    continue


def gpus(root: Path = Path("/")) -> list[str]:
    """GPUs that this process sees, as CUDA names them: all, or those of CUDA_VISIBLE_DEVICES."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number, _ in enumerate(root.glob("dev/nvidia[0-9]*"))]
    # CUDA takes no notice of what follows an invalid name.
    return list(takewhile(lambda name: name not in ("", "-1"), map(str.strip, named.split(","))))


def ensure_writable_folders(work_dir: Path) -> None:
    """Give libraries a home and a folder for temporary files, where those of the machine cannot be
    written or hold too little, and a name, where the user has none: as in containers.

    Parameters
    ----------
    work_dir : Path
        What stands in for them lies in its folder ``tmp``.
    """
    instead = work_dir / "tmp"
    try:
        roomy = shutil.disk_usage(tempfile.gettempdir()).free >= TEMPORARY_MB * 2**20
    except FileNotFoundError:  # no folder for temporary files can be written
        roomy = False
    if not roomy:
        instead.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(instead)
    home = Path(os.environ.get("HOME") or "/")
    if not (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        os.environ["HOME"] = tempfile.gettempdir()
    if "LOGNAME" not in os.environ:  # Nipype names jobs and crash files by it
        os.environ["LOGNAME"] = os.environ.get("USER", f"user{os.getuid()}")
