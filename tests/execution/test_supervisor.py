"""Distribution of resources among sessions, session locks and plugin files."""

import os
import subprocess
import sys
from collections import namedtuple

import pytest

from bids_stroke.cli import parser
from bids_stroke.errors import ResourceError, UsageError
from bids_stroke.execution import plugins, supervisor
from bids_stroke.execution.locks import session_lock

Child = namedtuple("Child", "threads")
Session = namedtuple("Session", "name")


@pytest.fixture
def settings(tmp_path):
    def make(*options):
        (tmp_path / "bids").mkdir(exist_ok=True)
        folders = [str(tmp_path / "bids"), str(tmp_path / "out")]
        return parser.parse([*folders, "participant", "--skip-bids-validation", *options])

    return make


@pytest.mark.parametrize(
    ("options", "sessions", "number"),
    [
        (("--nprocs", "8", "--mem-mb", "64000"), 3, 3),
        (("--nprocs", "2", "--mem-mb", "64000"), 9, 2),
        (("--nprocs", "8", "--mem-mb", "9000"), 9, 2),
        (("--nprocs", "8", "--mem-mb", "1000"), 9, 1),
        (("--nprocs", "8", "--mem-mb", "64000", "--omp-nthreads", "3"), 9, 2),
        (("--nprocs", "2", "--mem-mb", "64000", "--omp-nthreads", "3"), 9, 1),
    ],
)
def test_parallel_sessions(settings, options, sessions, number):
    assert supervisor.parallel_sessions(settings(*options), range(sessions)) == number


def test_every_core_is_used(settings):
    """By sessions that start together, and by the last session."""
    eight = settings("--nprocs", "8")
    running = []
    for starting in (3, 2, 1):
        running.append(Child(supervisor.allocate_threads(eight, running, starting)))
    assert [child.threads for child in running] == [2, 3, 3]
    assert supervisor.allocate_threads(eight, [], 1) == 8
    assert supervisor.allocate_threads(eight, [Child(8)], 1) == 1
    assert supervisor.allocate_threads(settings("--nprocs", "8", "--omp-nthreads", "3"), [], 1) == 3


def test_preloaded_modules_start_no_threads():
    code = (
        "import os, sys, bids_stroke.execution.preload; "
        "print(len(os.listdir('/proc/self/task')), {'ants', 'monai', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "NO_ET": "1"}
    assert subprocess.check_output(command, env=environment, text=True) == "1 set()\n"


def test_a_session_is_locked_while_it_runs(tmp_path):
    first, second = Session("sub-01"), Session("sub-02")
    with session_lock(tmp_path, first.name):
        with pytest.raises(ResourceError, match="sub-01 is being processed by another run"):
            session_lock(tmp_path, first.name).__enter__()
        with session_lock(tmp_path, second.name):
            pass
    with session_lock(tmp_path, first.name):
        pass


def test_a_plugin_file(tmp_path):
    path = tmp_path / "plugin.yml"
    path.write_text("plugin: SLURM\nplugin_args: {sbatch_args: -p cpu}\ngpu_plugin_args:\n")
    assert plugins.read_plugin(path) == ("SLURM", {"sbatch_args": "-p cpu"}, {})
    assert plugins.read_plugin(None) == ("Linear", {}, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plugin: [", "cannot be read as YAML"),
        ("\udcff", "cannot be read as YAML"),
        ("SLURM", "not a mapping of keys to values"),
        ("plugin_args: {}", "must contain plugin"),
        ("{plugin: SLURM, plugin_arg: {}}", "must contain plugin"),
        (
            "{plugin: SLURM, plugin_args: -p cpu}",
            "key: value pairs below gpu_plugin_args and plugin_args",
        ),
        ("plugin: Slurm", "the unknown Nipype plugin Slurm"),
    ],
)
def test_bad_plugin_files(tmp_path, text, words):
    path = tmp_path / "plugin.yml"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match=words) as caught:
        plugins.read_plugin(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
