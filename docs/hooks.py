"""What mkdocs does to the pages beyond its own."""

import re


def on_page_markdown(markdown, **_):
    """Name a file outside of ``docs`` by its path in the repository: the site does not hold it."""
    return re.sub(r"\[[^\]]*\]\(\.\./([^)]+)\)", r"`\1`", markdown)
