"""Fixtures for tests in a real browser: system Chromium, controlled by Playwright."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


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
def violations():
    """Function that lists the violations of accessibility rules of a page, found by axe-core.

    Tests are skipped without the npm package axe-core, in ``$AXE_CORE`` or installed globally.
    """
    folder = os.environ.get("AXE_CORE")
    if folder is None and (npm := shutil.which("npm")):
        root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True)
        folder = Path(root.stdout.strip()) / "axe-core"
    script = Path(folder or "axe-core") / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not installed; run npm install --global axe-core")

    def find(page):
        page.evaluate(script.read_text(encoding="utf-8"))
        result = page.evaluate("axe.run()")
        return [
            f"{item['id']}: {node['html']}" for item in result["violations"] for node in item["nodes"]
        ]

    return find
