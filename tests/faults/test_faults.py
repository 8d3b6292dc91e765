"""Faults during a run: kills, signals, lack of disk, memory, network or home, concurrent runs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import bidsets
import psutil
import pytest
from faults.running import (
    check_complete_files,
    command,
    differences,
    last_line,
    masks,
    participant,
    run,
)

from bids_stroke import __version__
from bids_stroke.bids import record
from bids_stroke.cli.run import main
from bids_stroke.spatial import image

pytestmark = pytest.mark.slow

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mount"),
    reason="mounts a small disk, which takes root and mount",
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One output folder for a sequence of faults."""
    return tmp_path_factory.mktemp("faults") / "out"


@pytest.fixture
def disk(tmp_path):
    """A disk of a few megabytes, and a function that resizes it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size):
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, folder], check=True)

    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder])
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder, resize
    subprocess.run(["umount", "-l", folder], check=True)


def started(bids, out):
    """Start a run and return it when its session is running."""
    started_run = subprocess.Popen(
        command(*participant(bids, out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # In the background, SIGINT is ignored, and child processes inherit this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in started_run.stdout:
        if "sub-01: started" in line:
            return started_run
    raise AssertionError(f"ended with {started_run.wait()} before the session began")


def children(process):
    """Return the processes of the sessions of a run, in order of creation.

    They are forked from a server process and have its command line.
    """
    processes = [
        child
        for server in psutil.Process(process.pid).children()
        for child in server.children()
        if child.cmdline() == server.cmdline()
    ]
    return [child.pid for child in sorted(processes, key=psutil.Process.create_time)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV], ids=lambda how: how.name)
def test_a_killed_worker(bids, out, table, how):
    """Killed by the kernel for lack of memory, or by a crash of a library."""
    with started(bids, out) as started_run:
        session, *_ = children(started_run)
        os.kill(session, how)
        error = started_run.stdout.read()
    assert started_run.returncode == 1 and "Traceback" not in error
    killed = how == signal.SIGKILL
    words = "was killed, probably for lack of memory" if killed else "ended with status -11"
    entry = record.read(out, "sub-01")
    assert words in error and words in entry.error
    assert entry.description and entry.outputs and entry.versions
    assert words in (out / "sub-01.html").read_text()
    check_complete_files(out)
    seen = next(line for line in error.splitlines() if words in line).split(": ", 2)[2]
    table.add("Faults", f"a worker ends by {how.name}", 1, seen, "its failure; the others go on")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_an_interrupted_run(bids, out, table, how):
    with started(bids, out) as started_run:
        pids = children(started_run)
        start_time = time.monotonic()
        started_run.send_signal(how)
        error = started_run.stdout.read()
    assert time.monotonic() - start_time < 10
    assert started_run.returncode == 130 and "Traceback" not in error
    assert pids and not any(Path(f"/proc/{child}").exists() for child in pids)
    check_complete_files(out)
    seen = error.splitlines()[-1]
    table.add("Faults", f"{how.name}, as from Slurm or Ctrl-C", 130, seen, "what is done")


def test_a_work_folder_that_is_removed_during_the_run(bids, out, table):
    with started(bids, out) as started_run:
        shutil.rmtree(out / "work", ignore_errors=True)
        error = started_run.stdout.read()
    assert "Traceback" not in error
    entry = record.read(out, "sub-01")
    assert started_run.returncode == (entry.status != "ok")
    check_complete_files(out)
    seen = entry.error or "sub-01: ok"
    table.add(
        "Faults", "work folder removed during the run", started_run.returncode, seen, "its failure"
    )


@pytest.mark.parametrize("megabytes", [700, 900])
def test_insufficient_memory(bids, tmp_path, table, megabytes):
    out = tmp_path / "out"
    done = run(*participant(bids, out), prefix=("prlimit", f"--as={megabytes * 2**20}"))
    assert done.returncode == 1
    seen = next((line for line in done.stderr.splitlines() if "failed after" in line), last_line(done))
    assert "memory" in seen or "its subprocess" in seen, done.stderr
    check_complete_files(out)
    table.add("Faults", f"address space of {megabytes} MB", 1, seen.split(": ", 2)[-1], "its failure")


def test_a_run_after_faults_gives_the_same_results(bids, out, undisturbed, table):
    done = run(*participant(bids, out))
    assert done.returncode == 0, done.stderr
    assert run(bids, out, "group").returncode == 0
    assert differences(out, undisturbed) == []
    assert list(out.rglob(".partial*")) == []
    table.add("Faults", "the same command after these", 0, "sub-01: ok", "all, as without a fault")


@needs_root
@pytest.mark.parametrize("which", ["output", "work"])
def test_a_full_disk(bids, disk, tmp_path, table, which):
    folder, resize = disk
    out, work = (folder, tmp_path / "work") if which == "output" else (tmp_path / "out", folder)
    done = run(*participant(bids, out), "-w", work)
    assert done.returncode == 1
    seen = next((line for line in done.stderr.splitlines() if "failed after" in line), last_line(done))
    assert "disk" in seen or "No space left" in seen, done.stderr
    check_complete_files(out)
    resize("900m")
    assert run(*participant(bids, out), "-w", work).returncode == 0
    check_complete_files(out)
    table.add("Faults", f"full disk of the {which} folder", 1, seen.split(": ", 2)[-1], "what is done")


def test_two_runs_on_one_output(tmp_path, undisturbed, table):
    bids = masks(tmp_path / "bids", "01", "02")
    runs = [
        subprocess.Popen(
            command(*participant(bids, tmp_path / "out")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [(started_run, started_run.communicate()[1]) for started_run in runs]
    seen = "both ended well"
    for started_run, error in ended:
        assert "Traceback" not in error
        messages = [line for line in error.splitlines() if "processed by another run" in line]
        assert bool(messages) == bool(started_run.returncode), error
        seen = messages[0].split(": ", 2)[2] if messages else seen
    check_complete_files(tmp_path / "out")
    done = run(*participant(bids, tmp_path / "out"))
    assert done.returncode == 0
    assert all(entry.complete(tmp_path / "out") for entry in record.read_all(tmp_path / "out"))
    status = max(started_run.returncode for started_run, _ in ended)
    table.add("Faults", "two runs on one output folder", status, seen, "each session once")


def test_a_clock_that_was_set_back(bids, undisturbed, tmp_path, table):
    """All files have modification times ten years in the future."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, symlinks=True)
    for path in out.rglob("*"):
        os.utime(path, (time.time() + 3e8,) * 2)
    done = run(*participant(bids, out))
    assert done.returncode == 0 and "sub-01: up to date" in done.stderr
    table.add("Faults", "a clock that went back", 0, "sub-01: up to date", "nothing new")


def test_a_work_folder_that_is_damaged_or_of_another_version(bids, undisturbed, tmp_path, table):
    """Truncated pickles of Nipype, a folder of an older version, and a missing derivative."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, symlinks=True)
    current = out / "work" / f"bids_stroke-{__version__}"
    shutil.copytree(current, out / "work/bids_stroke-0.0.1", symlinks=True)
    for path in (out / "work").rglob("*.pklz"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    next(out.glob("sub-01/anat/*_mask.nii.gz")).unlink()
    done = run(*participant(bids, out))
    assert done.returncode == 0, done.stderr
    assert differences(out, undisturbed) == []
    table.add("Faults", "a damaged work folder, and one of another version", 0, "sub-01: ok", "all")


def test_the_group_level_reports_a_session_without_record(bids, undisturbed, tmp_path, table, capsys):
    """The whole run was killed."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, ignore=shutil.ignore_patterns("work"))
    (out / "logs/sub-02.log").touch()
    assert main([str(bids), str(out), "group"]) == 0
    shown = capsys.readouterr().out
    assert "1 failed" in shown and "sub-02: its run did not finish" in shown
    assert "sub-02" in (out / "group.html").read_text()
    case = "a session whose run was killed, at the group level"
    table.add("Faults", case, 0, shown.splitlines()[-1], "the other sessions")


FORBID = """
import os, socket
def refuse(self, address, connect):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        open(os.environ["ATTEMPTS"], "a").write(f"{address}\\n")
        raise OSError("sockets are forbidden")
    return connect(self, address)
for name in ("connect", "connect_ex", "sendto"):
    def made(old=getattr(socket.socket, name)):
        return lambda self, *args: refuse(self, args[-1], lambda s, _: old(s, *args))
    setattr(socket.socket, name, made())
"""


def test_a_machine_without_home_tmpdir_and_network(bids, undisturbed, tmp_path, table):
    """No home, no temporary folder and no writable cache; connections are forbidden and recorded.

    No connection is attempted, and the results are the same.
    """
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(FORBID)
    (tmp_path / "taken").touch()
    attempts, out = tmp_path / "attempts", tmp_path / "out"
    paths = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH"))))
    bare = {"HOME": "/nowhere", "TMPDIR": "/nowhere", "BIDS_STROKE_HOME": str(tmp_path / "taken")}
    bare |= {"PYTHONPATH": paths, "ATTEMPTS": str(attempts)}
    probe = [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"]
    assert subprocess.run(probe, env=os.environ | bare, stderr=subprocess.DEVNULL).returncode
    assert attempts.read_text() == "('127.0.0.1', 9)\n"
    attempts.unlink()
    done = run(*participant(bids, out), **bare)
    assert done.returncode == 0, done.stderr
    assert run(bids, out, "group", **bare).returncode == 0
    assert not attempts.exists()
    assert differences(out, undisturbed) == []
    for fault in ("no HOME", "no TMPDIR", "a cache that cannot be written", "sockets forbidden"):
        table.add("Faults", fault, 0, "sub-01: ok", "all, as without a fault")


def test_outputs_are_not_writable_by_others(undisturbed):
    """The pickles of Nipype are not readable by others, either."""
    for path in undisturbed.rglob("*"):
        assert path.is_symlink() or not path.stat().st_mode & 0o002, path
    (work,) = (undisturbed / "work").glob("bids_stroke-*/sub-01")
    assert work.stat().st_mode & 0o777 == 0o700


def test_a_proxy_that_stalls(bids, tmp_path, table, monkeypatch, capsys):
    """The proxy accepts connections but never responds; the missing template is reported."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_take, args=(server,), daemon=True).start()
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templates"))
        arguments = [*participant(bids, tmp_path / "out"), "--output-spaces", "MNI152NLin6Asym"]
        assert main([str(argument) for argument in arguments]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be downloaded" in message
    table.add("Faults", "a proxy that stalls", 1, message, "nothing")


def _take(server):
    taken = []
    try:
        while True:
            taken.append(server.accept())
    except OSError:  # closed at the end of the test
        pass


@pytest.mark.parametrize(
    ("name", "place"),
    [("output folder", "out"), ("log", "out/logs"), ("record", "out/logs/sub-01_run.json")],
)
def test_output_paths_that_exist_as_other_files(bids, tmp_path, table, capsys, name, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.mkdir if name == "record" else path.touch)()
    assert main([str(argument) for argument in participant(bids, tmp_path / "out")]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("bids_stroke: error: ") and str(path) in message
    table.add("Faults", f"a {name} that cannot be written", 1, message, "nothing")


def test_a_closed_output_pipe(bids, tmp_path, table):
    """No traceback, as in ``bids_stroke … | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    arguments = command(*participant(bids, tmp_path / "out"), "--dry-run")
    done = subprocess.run(arguments, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert done.returncode
    table.add("Faults", "a reader of the output that leaves", done.returncode, done.stderr, "nothing")


def test_a_report_that_cannot_be_written(tmp_path, table):
    """A viewer path is a folder: that session fails, the other one succeeds."""
    bids, out = masks(tmp_path / "bids", "01", "02"), tmp_path / "out"
    (out / "sub-01_viewer.html").mkdir(parents=True)
    done = run(*participant(bids, out))
    assert done.returncode == 1
    assert "sub-01_viewer.html" in record.read(out, "sub-01").error
    assert record.read(out, "sub-02").complete(out) and (out / "sub-02.html").is_file()
    (out / "sub-01_viewer.html").rmdir()
    assert run(*participant(bids, out)).returncode == 0
    check_complete_files(out)
    seen = next(line for line in done.stderr.splitlines() if "sub-01: failed" in line)
    table.add("Faults", "a viewer that cannot be written", 1, seen, "its failure; the others go on")


def test_a_damaged_second_image(tmp_path, table):
    """All images of a session are read before any processing."""
    bids, out = bidsets.empty_dataset(tmp_path / "bids"), tmp_path / "out"
    t1w, lesion = bidsets.scan(1)
    flair, _ = bidsets.scan(1, contrast=-1.0)
    anat = bids / "sub-01/anat"
    image.save(t1w, anat / "sub-01_T1w.nii.gz")
    image.save(flair, anat / "sub-01_FLAIR.nii.gz")
    image.save(lesion, anat / "sub-01_space-T1w_label-L_mask.nii.gz")
    path = anat / "sub-01_FLAIR.nii.gz"
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the checksum at the end
    path.write_bytes(content)
    done = run(*participant(bids, out), "--brain-extraction", "none")
    assert done.returncode == 1
    entry = record.read(out, "sub-01")
    assert "sub-01_FLAIR.nii.gz is damaged" in entry.error
    assert not (out / "sub-01").exists()
    seen = next(line for line in done.stderr.splitlines() if "sub-01: failed" in line)
    table.add("Faults", "a second image that is damaged", 1, seen, "nothing")
