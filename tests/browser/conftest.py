"""A real browser for the pages: Chromium of the system, through Playwright."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; the tests are skipped where it or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not on the PATH; install it to test the pages in a browser")
    # A module each, because Playwright's event loop must not run during the tests of others.
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def browser_page(browser):
    """A function that opens a file (``file://``, no network) and returns Playwright's page.

    What goes wrong in the page is in its list ``errors``: errors on the console, uncaught
    exceptions, and requests for anything but the file itself. Keywords are those of a browser's
    context, such as ``color_scheme="dark"`` or ``viewport={"width": 800, "height": 600}``.
    """
    contexts = []

    def opened(path, **context):
        contexts.append(browser.new_context(offline=True, **context))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)  # ms: 3D without a graphics card takes its time
        url = Path(path).absolute().as_uri()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))

        def told(message):
            if message.type == "error":
                page.errors.append(message.text)

        def requested(request):
            if request.url != url and not request.url.startswith(("data:", "blob:")):
                page.errors.append(f"request: {request.url}")

        page.on("console", told)
        page.on("request", requested)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
