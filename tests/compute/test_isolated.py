"""Work in a process of its own: what it takes over, what it tells, and when it ends."""

import logging
import multiprocessing
import os
import signal

import pytest

from bids_stroke.compute import isolated
from bids_stroke.errors import ImageError, ResourceError

LOG = logging.getLogger("bids_stroke")


def warn(words):
    LOG.warning(words)
    return os.getpid(), os.environ.get("BIDS_STROKE_TOLD")


def refuse():
    raise ImageError("there is no head")


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ever(path):
    with open(path, "w") as told:
        print(os.getpid(), file=told, flush=True)
        signal.pause()


def in_session(channel, function, *arguments):
    """What a session does that runs a step apart, and tells of it."""
    heard = logging.Handler()
    heard.emit = lambda record: channel.send(record.getMessage())
    LOG.addHandler(heard)
    os.environ["BIDS_STROKE_TOLD"] = "later"
    try:
        channel.send(isolated.run(function, *arguments))
    except Exception as error:
        channel.send(error)


@pytest.fixture
def session():
    """Start a session that calls a function apart; its process, and what it tells."""
    context = multiprocessing.get_context("forkserver")
    started = []

    def start(function, *arguments):
        channel, theirs = context.Pipe(duplex=False)
        process = context.Process(target=in_session, args=(theirs, function, *arguments))
        process.start()
        theirs.close()
        started.append(process)
        return process, channel

    yield start
    for process in started:
        process.kill()
        process.join()


def test_a_process_takes_over_the_environment_and_its_log_is_heard(session):
    process, told = session(warn, "the GPU is full")
    assert told.recv() == "the GPU is full"
    number, environment = told.recv()
    assert number not in (process.pid, os.getpid())
    assert environment == "later"


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [(refuse, ImageError, "there is no head"), (be_killed, ResourceError, "lack of memory")],
)
def test_its_failures_are_those_of_the_caller(session, function, error, words):
    found = session(function)[1].recv()
    assert isinstance(found, error) and words in str(found)


def test_it_ends_with_the_session(session, tmp_path):
    path = tmp_path / "told"
    os.mkfifo(path)
    process, _ = session(wait_for_ever, path)
    with open(path) as told:
        assert int(told.readline()) != process.pid
        process.kill()
        assert told.read() == ""  # it has let go


def test_a_job_of_its_own_starts_no_other():
    assert isolated.run(os.getpid) == os.getpid()
