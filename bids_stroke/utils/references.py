"""References: the BibTeX file of the package, and citations of its entries in texts.

A text cites entries by their keys, as in Markdown of Pandoc: ``[@zhu]``, ``[@zhu; @feng]``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from bids_stroke.data import DATA

#: Keys of citations in records of version 0.1.0, and their current keys.
FORMER_KEYS = {"superregions": "mohapatra", "tract": "burgel"}
#: Number of authors that a formatted reference lists.
MAX_AUTHORS = 6
_ENTRY = re.compile(r"^@(\w+)\{([\w-]+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},$", re.MULTILINE)
_CITATION = re.compile(r"\[(@[\w-]+(?:; @[\w-]+)*)\]")


@dataclass(frozen=True)
class Reference:
    """Entry of the BibTeX file: its key, its fields by name, and its BibTeX source."""

    key: str
    fields: Mapping[str, str]
    entry: str

    def format(self) -> str:
        """Format the reference: authors, title, source with year, and DOI or URL."""
        source = ". ".join(filter(None, (self._source(), self._link())))
        return f"{self._authors()}. {_plain(self.fields['title'])}. {source}"

    def _authors(self) -> str:
        names = (self.fields.get("author") or self.fields["editor"]).split(" and ")
        listed = [_initials(name) for name in names if name != "others"]
        shortened = len(listed) < len(names) or len(listed) > MAX_AUTHORS
        return ", ".join(listed[:MAX_AUTHORS]) + (", et al" if shortened else "")

    def _source(self) -> str:
        """Format where and when the work was published: ``Stroke 2010;41(5):910-915``."""
        fields = {name: _plain(value) for name, value in self.fields.items()}
        kinds = ("journal", "booktitle", "publisher")
        place = next((fields[kind] for kind in kinds if kind in fields), None)
        year = " ".join(filter(None, (place, fields["year"])))
        issue = f"({fields['number']})" if "number" in fields else ""
        volume = f";{fields['volume']}{issue}" if "volume" in fields else ""
        pages = f":{fields['pages']}" if "pages" in fields else ""
        return f"{year}{volume}{pages}"

    def _link(self) -> str:
        doi = self.fields.get("doi")
        return f"https://doi.org/{quote(doi, safe='/:;()')}" if doi else self.fields.get("url", "")


@lru_cache(maxsize=1)
def load() -> Mapping[str, Reference]:
    """Read the references of the package, by key."""
    text = (DATA / "references.bib").read_text(encoding="utf-8")
    return {
        match[2]: Reference(match[2], dict(_FIELD.findall(match[3])), match[0])
        for match in _ENTRY.finditer(text)
    }


def cited_keys(text: str) -> list[str]:
    """Return the keys of the cited references, in the order of their first citation.

    >>> cited_keys("Raw load [@zhu] and weighted load [@feng; @zhu].")
    ['zhu', 'feng']
    """
    return list(dict.fromkeys(key for match in _CITATION.finditer(text) for key in _keys(match)))


def number(text: str, keys: Sequence[str]) -> str:
    """Replace citations by the numbers of their references in ``keys``, from 1.

    A citation with an unknown key, such as in the card of a user, is not replaced.

    >>> number("Raw load [@zhu] and weighted load [@feng; @zhu].", ["zhu", "feng"])
    'Raw load [1] and weighted load [2, 1].'
    """
    return _replace(text, lambda cited: f"[{', '.join(str(keys.index(key) + 1) for key in cited)}]")


def expand(text: str) -> str:
    """Replace citations by the formatted references in brackets, on one line."""
    expanded = _replace(text, lambda cited: f"[{'; '.join(load()[key].format() for key in cited)}]")
    return " ".join(expanded.split())


def _replace(text: str, convert: Callable[[Sequence[str]], str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        keys = _keys(match)
        return convert(keys) if keys else match[0]

    return _CITATION.sub(replacement, text)


def _keys(match: re.Match[str]) -> list[str]:
    """Return the keys of a citation; none if a key is unknown."""
    keys = [item.removeprefix("@") for item in match[1].split("; ")]
    current = [FORMER_KEYS.get(key, key) for key in keys]
    return current if all(key in load() for key in current) else []


def _plain(value: str) -> str:
    """Convert the value of a BibTeX field to plain text."""
    return re.sub(r"[{}\\]", "", value).replace("--", "-")


def _initials(name: str) -> str:
    """Abbreviate given names: ``Zhu, Lin L.`` to ``Zhu LL``; names in braces are not abbreviated."""
    family, _, given = name.partition(", ")
    initials = "".join(part[0] for part in re.split(r"[ .-]+", given) if part)
    return f"{_plain(family)} {initials}".strip()
