"""The file ``.bidsignore`` of a dataset: patterns of files that do not count, as in ``.gitignore``."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_TOKEN = re.compile(r"(?P<escaped>\\.)|(?P<deep>/\*\*/|^\*\*/|/\*\*$)|(?P<set>\[[^\]]+\])|(?P<one>.)")
_DEEP = {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*"}
_WILD = {"*": "[^/]*", "?": "[^/]"}


class _Pattern(NamedTuple):
    """A line of the file: its regular expression, whether it re-includes, and whether it is of folders
    alone."""

    regex: re.Pattern[str]
    negated: bool
    of_folders: bool


class BidsIgnore:
    """The patterns of a dataset; empty without a ``.bidsignore``."""

    def __init__(self, dataset: Path) -> None:
        path = dataset / ".bidsignore"
        text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
        self._patterns = [pattern for line in text.splitlines() if (pattern := _parse(line))]

    @property
    def is_empty(self) -> bool:
        """Whether there are no patterns."""
        return not self._patterns

    def ignores(self, relative: str) -> bool:
        """Whether a file, relative to the dataset, is ignored: it, or a folder above it."""
        if self.is_empty:
            return False
        return self.ignores_folder(str(PurePosixPath(relative).parent)) or self._matches(
            relative, False
        )

    def ignores_folder(self, relative: str) -> bool:
        """Whether a folder, relative to the dataset, or one above it, is ignored."""
        path = PurePosixPath(relative)
        folders = [path, *path.parents][:-1]
        return any(self._matches(str(folder), True) for folder in folders)

    def _matches(self, relative: str, is_folder: bool) -> bool:
        """Whether the last pattern that matches a path excludes it."""
        ignored = False
        for pattern in self._patterns:
            if (is_folder or not pattern.of_folders) and pattern.regex.fullmatch(relative):
                ignored = not pattern.negated
        return ignored


def _parse(line: str) -> _Pattern | None:
    """Parse a line; None for a comment and for an empty line."""
    line = re.sub(r"(?<!\\)\s+$", "", line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    pattern = line[1:] if negated else line
    of_folders = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    # Only a pattern without a slash, but for the last, holds at any depth.
    anywhere = "" if "/" in pattern else "(?:.*/)?"
    regex = anywhere + "".join(map(_translate, _TOKEN.finditer(pattern.removeprefix("/"))))
    try:
        return _Pattern(re.compile(regex), negated, of_folders)
    except re.error:  # a set such as [z-a], which matches nothing
        return None


def _translate(token: re.Match[str]) -> str:
    """The regular expression of a part of a pattern."""
    text = token[0]
    if token["escaped"]:
        return re.escape(text[1:])
    if token["deep"]:
        return _DEEP[text]
    if token["set"]:
        content = text[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^/{content[1:]}]" if content[0] in "!^" else f"[{content}]"
    return _WILD.get(text) or re.escape(text)
