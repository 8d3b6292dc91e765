import re

import pytest

from bids_stroke.data import DATA
from bids_stroke.utils import references

TEXT = (DATA / "references.bib").read_text(encoding="utf-8")
#: References without a DOI or a stable address.
WITHOUT_LINK = {"bids_stroke", "burgel", "outliers"}
REQUIRED = {
    "article": {"author", "journal", "volume", "pages"},
    "book": {"author", "publisher"},
    "inproceedings": {"author", "booktitle"},
    "misc": {"author"},
    "proceedings": {"editor"},
}


def test_the_file_is_read_completely():
    """Every line belongs to a comment, to an entry or to one of its fields, and braces are balanced."""
    entries = references.load()
    assert len(entries) == len(re.findall("^@", TEXT, re.M))
    rest = TEXT
    for reference in entries.values():
        assert len(reference.fields) == reference.entry.count("\n") - 1
        assert reference.entry.count("{") == reference.entry.count("}")
        rest = rest.replace(reference.entry, "")
    assert all(line.startswith("%") for line in rest.split("\n") if line)
    assert "@" not in rest  # BibTeX would read it as the start of an entry


@pytest.mark.parametrize("key", references.load())
def test_entries_are_complete(key):
    reference = references.load()[key]
    kind = re.match(r"@(\w+)", reference.entry)[1]
    assert {"title", "year"} | REQUIRED[kind] <= reference.fields.keys()
    assert re.fullmatch(r"(19|20)\d\d", reference.fields["year"])
    assert re.fullmatch(r"10\.\d{4,}/\S+", reference.fields.get("doi", "10.1000/x"))
    assert reference.fields.get("url", "https://").startswith("https://")
    assert bool({"doi", "url"} & reference.fields.keys()) == (key not in WITHOUT_LINK)


def test_dois_are_unique():
    dois = re.findall(r"doi = \{(.+)\}", TEXT)
    assert len(dois) == len({doi.lower() for doi in dois})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (
            "zhu",
            "Zhu LL, Lindenberg R, Alexander MP, Schlaug G. Lesion load of the corticospinal tract",
        ),
        ("zhu", " stroke. Stroke 2010;41(5):910-915. https://doi.org/10.1161/STROKEAHA.109.577023"),
        ("bids", "Gorgolewski KJ, Auer T, Calhoun VD, et al. The brain"),  # "and others" in the file
        ("talairach", "Freitas CS, Rainey L, et al. Automated"),  # ten authors in the file
        ("talairach", "https://doi.org/10.1002/1097-0193(200007)10:3%3C120::AID-HBM30%3E3.0.CO;2-8"),
        ("nilearn", "Nilearn contributors. Nilearn. Zenodo 2023. https://doi.org/"),
        ("neuromorphometrics", "Landman BA, Warfield SK. MICCAI 2012 workshop"),
        ("bids_stroke", "bids_stroke developers. bids_stroke: from a BIDS dataset"),
        ("numpy", "Millman KJ, van der Walt SJ, "),
        ("nibabel", "Côté MA, "),
    ],
)
def test_format(key, text):
    assert text in references.load()[key].format()


def test_expand():
    expanded = references.expand("See\n [@zhu; @feng] and [@unknown].")
    assert expanded.startswith("See [Zhu LL") and "; Feng W" in expanded
    assert expanded.endswith("ana.24510] and [@unknown].")
