"""Code of the pages of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def code(page, language):
    """Return the code blocks of a page in a language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_python(page, skip=()):
    """Run the Python code of a page, except blocks that import a package of ``skip``; return its
    variables."""
    variables = {}
    for block in code(page, "python"):
        if not any(f"import {package}" in block for package in skip):
            exec(compile(block, page, "exec"), variables)
    return variables
