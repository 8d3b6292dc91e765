"""The documentation site: strict build, no other hosts, width of the pages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PHONE = {"width": 390, "height": 844}
LOADED = re.compile(r'<(?:script|img|source)\b[^>]*\bsrc="([^"]+)|<link\b[^>]*\bhref="([^"]+)')


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of the site, built with warnings as errors."""
    for package in ("material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(out.rglob("*.html"))


def test_no_other_hosts(pages):
    assert len(pages) > 20
    for page in pages:
        for loaded in LOADED.findall(page.read_text(encoding="utf-8")):
            address = "".join(loaded)
            assert not re.match(r"(https?:)?//", address), f"{page.name} loads {address}"


def test_pages_of_the_repository_are_linked(pages):
    (changes,) = (page for page in pages if page.name == "changes.html")
    assert '<a href="contributing.html">Contributing</a>' in changes.read_text(encoding="utf-8")


def test_api_has_descriptions(pages):
    (page,) = (page for page in pages if page.parts[-2:] == ("api", "tracts.html"))
    text = page.read_text(encoding="utf-8")
    assert 'id="bids_stroke.atlases.loads.measure_loads"' in text
    assert ":func:" not in text and ":data:" not in text


def test_no_page_is_wider_than_a_phone(browser, pages):
    context = browser.new_context(offline=True, viewport=PHONE)
    view = context.new_page()
    for page in pages:
        view.goto(page.as_uri())
        assert view.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.name
    context.close()
