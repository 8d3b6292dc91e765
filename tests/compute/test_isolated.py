"""Tests of function calls in a subprocess: environment, log records, errors and end."""

import logging
import multiprocessing
import os
import signal

import pytest

from bids_stroke.compute import isolated
from bids_stroke.errors import ImageError, ResourceError

LOG = logging.getLogger("bids_stroke")


def warn(message):
    LOG.warning(message)
    return os.getpid(), os.environ.get("BIDS_STROKE_TEST")


def fail():
    raise ImageError("the image has no head")


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def wait_forever(path):
    with open(path, "w") as stream:
        print(os.getpid(), file=stream, flush=True)
        signal.pause()


def run_session(channel, function, *arguments):
    """Call a function in a subprocess, and send its log records and its result or error."""
    handler = logging.Handler()
    handler.emit = lambda record: channel.send(record.getMessage())
    LOG.addHandler(handler)
    os.environ["BIDS_STROKE_TEST"] = "set later"
    try:
        channel.send(isolated.run(function, *arguments))
    except Exception as error:
        channel.send(error)


@pytest.fixture
def session():
    """Start a process that calls a function in a subprocess; return the process and the channel."""
    context = multiprocessing.get_context("forkserver")
    processes = []

    def start(function, *arguments):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=run_session, args=(sender, function, *arguments))
        process.start()
        sender.close()
        processes.append(process)
        return process, receiver

    yield start
    for process in processes:
        process.kill()
        process.join()


def test_subprocess_inherits_the_environment_and_forwards_log_records(session):
    process, channel = session(warn, "the GPU is full")
    assert channel.recv() == "the GPU is full"
    pid, environment = channel.recv()
    assert pid not in (process.pid, os.getpid())
    assert environment == "set later"


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [(fail, ImageError, "the image has no head"), (kill_self, ResourceError, "lack of memory")],
)
def test_errors_of_the_subprocess_are_raised(session, function, error, words):
    raised = session(function)[1].recv()
    assert isinstance(raised, error) and words in str(raised)


def test_subprocess_ends_with_the_session(session, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    process, _ = session(wait_forever, path)
    with open(path) as stream:
        assert int(stream.readline()) != process.pid
        process.kill()
        assert stream.read() == ""  # the subprocess has closed the pipe


def test_main_process_calls_the_function_directly():
    assert isolated.run(os.getpid) == os.getpid()
