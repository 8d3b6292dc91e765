"""Patterns of ignored files in the ``.bidsignore`` of a dataset, in the syntax of ``.gitignore``."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?P<escaped>\\.)|(?P<deep>/\*\*/|^\*\*/|/\*\*$)|(?P<set>\[[^\]]+\])|(?P<character>.)"
)
_DEEP = {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*"}
_WILD = {"*": "[^/]*", "?": "[^/]"}


class _Pattern(NamedTuple):
    """A line of the file: its regular expression, whether it re-includes paths (``!``), and whether it
    matches folders only."""

    regex: re.Pattern[str]
    negated: bool
    folders_only: bool


class BidsIgnore:
    """Patterns of a dataset; empty without a ``.bidsignore``."""

    def __init__(self, dataset: Path) -> None:
        path = dataset / ".bidsignore"
        text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
        self._patterns = [pattern for line in text.splitlines() if (pattern := _parse(line))]

    @property
    def is_empty(self) -> bool:
        """Whether there are no patterns."""
        return not self._patterns

    def ignores(self, relative: str) -> bool:
        """Return whether a file (path relative to the dataset), or a folder above it, is ignored."""
        if self.is_empty:
            return False
        return self.ignores_folder(str(PurePosixPath(relative).parent)) or self._matches(
            relative, False
        )

    def ignores_folder(self, relative: str) -> bool:
        """Return whether a folder (path relative to the dataset), or one above it, is ignored."""
        path = PurePosixPath(relative)
        folders = [path, *path.parents][:-1]
        return any(self._matches(str(folder), True) for folder in folders)

    def _matches(self, relative: str, is_folder: bool) -> bool:
        """Return whether the last pattern that matches a path excludes it."""
        ignored = False
        for pattern in self._patterns:
            if (is_folder or not pattern.folders_only) and pattern.regex.fullmatch(relative):
                ignored = not pattern.negated
        return ignored


def _parse(line: str) -> _Pattern | None:
    """Parse a line; return None for a comment or an empty line."""
    line = re.sub(r"(?<!\\)\s+$", "", line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    pattern = line[1:] if negated else line
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    # A pattern matches at any depth only if it has no slash other than a trailing one.
    prefix = "" if "/" in pattern else "(?:.*/)?"
    regex = prefix + "".join(map(_translate, _TOKEN.finditer(pattern.removeprefix("/"))))
    try:
        return _Pattern(re.compile(regex), negated, folders_only)
    except re.error:  # an invalid set such as [z-a] matches nothing
        return None


def _translate(token: re.Match[str]) -> str:
    """Translate a part of a pattern into a regular expression."""
    text = token[0]
    if token["escaped"]:
        return re.escape(text[1:])
    if token["deep"]:
        return _DEEP[text]
    if token["set"]:
        content = text[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^/{content[1:]}]" if content[0] in "!^" else f"[{content}]"
    return _WILD.get(text) or re.escape(text)
