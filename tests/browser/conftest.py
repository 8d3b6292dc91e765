"""Fixtures for tests in a real browser: system Chromium, controlled by Playwright."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

AXE = "4.14.1"  # version of axe-core


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; tests are skipped if Chromium or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not on the PATH; install it to test the pages in a browser")
    # Module scope: Playwright's event loop must not run during tests of other modules.
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def browser_page(browser):
    """Function that opens a file (``file://``, no network) and returns the Playwright page.

    The list ``errors`` of the page collects console errors, uncaught exceptions, and requests for
    other files. Keyword arguments are those of a browser context, such as ``color_scheme="dark"`` or
    ``viewport={"width": 800, "height": 600}``.
    """
    contexts = []

    def open_page(path, **context):
        contexts.append(browser.new_context(offline=True, **context))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)  # ms: 3D rendering without a GPU is slow
        url = Path(path).absolute().as_uri()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))

        def log_message(message):
            if message.type == "error":
                page.errors.append(message.text)

        def log_request(request):
            if request.url != url and not request.url.startswith(("data:", "blob:")):
                page.errors.append(f"request: {request.url}")

        page.on("console", log_message)
        page.on("request", log_request)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def axe(request, tmp_path_factory):
    """Script of axe-core, downloaded once with npm; tests are skipped without it."""
    script = request.config.cache.mkdir("axe-core") / f"axe-{AXE}.min.js"
    if not script.is_file():
        folder = tmp_path_factory.mktemp("npm")
        npm = shutil.which("npm") or pytest.skip(
            "npm is not on the PATH; install it to test accessibility"
        )
        done = subprocess.run(
            [npm, "pack", f"axe-core@{AXE}"], cwd=folder, capture_output=True, timeout=120
        )
        if done.returncode:
            pytest.skip("npm cannot download axe-core")
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            script.write_bytes(archive.extractfile("package/axe.min.js").read())
    return script


@pytest.fixture
def violations(axe):
    """Function that returns the accessibility violations of a page: rules and elements."""

    def check(page, selector="html"):
        if not page.evaluate("'axe' in window"):
            page.add_script_tag(path=axe)
        options = "{resultTypes: ['violations']}"
        result = page.evaluate(f"axe.run({selector!r}, {options})")
        return [(rule["id"], node["html"]) for rule in result["violations"] for node in rule["nodes"]]

    return check
