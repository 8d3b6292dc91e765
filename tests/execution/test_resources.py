"""Resources of the machine: limits of control groups, GPUs, writable folders."""

import os
import subprocess
import sys
import tempfile
from collections import namedtuple

import pytest

from bids_stroke.compute.devices import gpu_lock
from bids_stroke.execution import resources, supervisor


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "files",
    [
        {  # version 2: the limit of a parent group also applies
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/job_7/memory.max": f"{3000 * 2**20}\n",
            "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
        },
        {  # version 1
            "proc/self/cgroup": "9:cpu,cpuacct:/x\n5:memory:/slurm/job_7\n",
            "sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": f"{3000 * 2**20}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        {  # in a container, the control group is the root, and its path does not exist
            "proc/self/cgroup": "0::/../../another\n",
            "sys/fs/cgroup/memory.max": f"{3000 * 2**20}\n",
        },
    ],
)
def test_memory_within_a_control_group(tmp_path, files):
    write(tmp_path, files)
    assert resources.memory_mb(tmp_path) == 3000


def test_cores_within_a_quota(tmp_path):
    every = resources.cores(tmp_path)
    assert every == len(os.sched_getaffinity(0))
    write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"})
    assert resources.cores(tmp_path) == every
    write(tmp_path, {"sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert resources.cores(tmp_path) == 1


def test_visible_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert resources.gpus(tmp_path) == []
    write(tmp_path, {f"dev/{name}": "" for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm")})
    assert resources.gpus(tmp_path) == ["0", "1"]
    for named, seen in {"": [], "-1": [], "2": ["2"], "1, GPU-5f,-1,0": ["1", "GPU-5f"]}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert resources.gpus(tmp_path) == seen


def test_writable_folders(tmp_path, monkeypatch):
    """A missing home, a missing user name and too little temporary space are replaced."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name, value in {"HOME": "/missing", "TMPDIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("LOGNAME", "USER"):
        monkeypatch.delenv(name, raising=False)
    resources.ensure_writable_folders(tmp_path / "work")
    assert os.environ["HOME"] == os.environ["TMPDIR"] == str(tmp_path)
    assert os.environ["LOGNAME"] == f"user{os.getuid()}"
    assert not (tmp_path / "work").exists()
    monkeypatch.setattr(resources, "TEMPORARY_MB", 2**40)
    resources.ensure_writable_folders(tmp_path / "work")
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(tmp_path / "work/tmp")
    assert (tmp_path / "work/tmp").is_dir()


Running = namedtuple("Running", "threads gpu", defaults=(1, None))


def test_sessions_are_spread_over_gpus():
    assert supervisor.allocate_gpu([], []) is None
    running = []
    for _ in range(5):
        running.append(Running(gpu=supervisor.allocate_gpu(["0", "2"], running)))
    assert [child.gpu for child in running] == ["0", "2", "0", "2", "0"]
    running.remove(Running(gpu="2"))
    assert supervisor.allocate_gpu(["0", "2"], running) == "2"


def test_one_process_at_a_time_on_a_gpu():
    """For any temporary folder; another GPU is not locked."""
    with gpu_lock("GPU-1") as held:
        code = (
            "from bids_stroke.compute.devices import gpu_lock\n"
            "from filelock import Timeout\n"
            "gpu_lock('GPU-2').acquire(timeout=0)\n"
            "try: gpu_lock('GPU-1').acquire(timeout=0)\n"
            "except Timeout: raise SystemExit(7)\n"
        )
        assert run(code) == 7
    assert run(code) == 0
    os.unlink(held.lock_file)


def run(code):
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder}
        return subprocess.run([sys.executable, "-c", code], env=environment).returncode
