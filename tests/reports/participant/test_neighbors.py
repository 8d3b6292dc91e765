import multiprocessing

import pytest

from bids_stroke.bids.record import Record
from bids_stroke.execution import reporting
from bids_stroke.execution.locks import report_lock
from bids_stroke.reports.participant.neighbors import find_neighbors, update_links
from bids_stroke.reports.participant.report import participant_report
from bids_stroke.settings import Settings


def write(out, label):
    """Write the page of a participant."""
    Record(f"sub-{label}", "x", error="<span id='neighbors'>").write(out)
    return participant_report(out, label)


def links(page):
    """Return the links to the previous and the next participant."""
    nav = page.read_text(encoding="utf-8").split('<span id="neighbors">')[1].split("</span>")[0]
    return [part.split('"')[0] for part in nav.split('href="')[1:]]


def test_only_pages_of_participants_that_exist_are_linked(tmp_path):
    assert links(write(tmp_path, "2")) == []
    (tmp_path / "sub-1_viewer.html").write_text("")
    assert links(write(tmp_path, "10")) == ["sub-2.html"]
    assert links(write(tmp_path, "3")) == ["sub-2.html", "sub-10.html"]
    assert find_neighbors(tmp_path, "sub-1") == (None, "sub-2")


def settings(out):
    return Settings(bids_dir=out, output_dir=out, work_dir=out, level="participant", bids_filters={})


@pytest.mark.parametrize("order", [("1", "2", "10"), ("10", "2", "1"), ("1", "10", "2")])
def test_the_links_are_complete_in_any_order(tmp_path, order):
    pages = {}
    for label in order:
        pages[label] = write(tmp_path, label)
        reporting.update_neighbors(settings(tmp_path), f"sub-{label}")
    assert links(pages["1"]) == ["sub-2.html"]
    assert links(pages["2"]) == ["sub-1.html", "sub-10.html"]
    assert links(pages["10"]) == ["sub-2.html"]


def test_the_rest_of_the_page_is_unchanged(tmp_path):
    page = write(tmp_path, "1")
    before = page.read_text(encoding="utf-8")
    assert not update_links(tmp_path, "sub-1"), "nothing has changed"
    other = write(tmp_path, "2")
    assert update_links(tmp_path, "sub-1")
    other.unlink()
    assert update_links(tmp_path, "sub-1")
    assert page.read_text(encoding="utf-8") == before


def _write_and_update(out, label, barrier):
    with report_lock(out, f"sub-{label}"):
        write(out, label)
        barrier.wait(60)
    reporting.update_neighbors(settings(out), f"sub-{label}")


def test_processes_that_write_neighbors_at_the_same_time_do_not_wait_forever(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=_write_and_update, args=(tmp_path, label, barrier)) for label in "12"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert links(tmp_path / "sub-1.html") == ["sub-2.html"]
    assert links(tmp_path / "sub-2.html") == ["sub-1.html"]


def test_a_page_that_cannot_be_updated_is_no_error(tmp_path):
    write(tmp_path, "2")
    (tmp_path / "sub-1.html").mkdir()
    reporting.update_neighbors(settings(tmp_path), "sub-2")
