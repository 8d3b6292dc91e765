"""Adapt the pages to the site: pages from the root of the repository, and links to other files."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

#: Pages in the root of the repository, by their names in the site.
ROOT_PAGES = {"contributing.md": "CONTRIBUTING.md", "changes.md": "CHANGES.md"}
#: Table cells, and the headings of modules.
CELL = re.compile(r'(<(t[dh]|h\d(?= id="bids_stroke))\b.*?>)(.*?)(?=</\2>)', re.DOTALL)
TEXT = re.compile(r"(?:^|(?<=>))[^<]+")
#: Numbers, ranges and intervals, which do not break.
NUMBER = re.compile(r"(?:&[lg]t; ?)?[+−-]?\d[\d\s.,–±()%×e+-]*(?:m[lm])?")
#: Positions in identifiers and long words at which a table cell or a heading may break.
BREAK = re.compile(
    r"(?<=[\w;…])(?:[_/,:=|×](?=\w{3}|\d)|\.(?=[^\W\d]{4}))"
    r"|(?<=\d)(?=[A-Z][A-Za-z]{3})|[^\W_]{18}(?=[^\W_])"
)
CODE = re.compile(r"(?<=<code>)[^<]+")
#: First word of an option, which does not break.
OPTION = re.compile(r"(?<![\w-])--[a-z]+")
#: Dash before the description of a parameter that has none.
EMPTY = re.compile(r'\s*–\s*<div class="doc-md-description">\s*</div>')
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([\w./-]+)(#[\w-]*)?\)")


def on_files(files, config):
    """Add the pages in the root of the repository."""
    root = Path(config.config_file_path).parent
    for page, source in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    return files


def on_page_markdown(markdown, page, files, **_):
    """Adapt the links: file names become page titles, and files outside of the site become paths."""
    name = page.file.src_uri
    folder = posixpath.dirname(ROOT_PAGES.get(name, f"docs/{name}"))

    def replace(link):
        text, path, anchor = link.groups(default="")
        target = posixpath.normpath(posixpath.join(folder, path))
        file = files.get_file_from_path(_page(target))
        if file is None:
            return link[0] if target.startswith("docs/") else f"`{target}`"
        title = file.page.title if text.endswith(".md") else text
        return f"[{title}]({posixpath.relpath(file.src_uri, posixpath.dirname(name))}{anchor})"

    return LINK.sub(replace, markdown)


def on_page_content(html, **_):
    """Set where text may break, and remove the dash before empty descriptions."""
    html = CELL.sub(lambda cell: cell[1] + _cell(cell[3]), html)
    html = CODE.sub(lambda code: OPTION.sub(_unbroken, code[0]), html)
    return EMPTY.sub("", html)


def _cell(content):
    if number := NUMBER.fullmatch(content):
        return _unbroken(number)
    unescaped = content.replace(r"\|", "|")  # the table syntax escapes pipes, also in code
    return TEXT.sub(lambda text: BREAK.sub(r"\g<0><wbr>", text[0]), unescaped)


def _unbroken(match):
    return f'<span class="unbroken">{match[0]}</span>'


def _page(target):
    """Return the name in the site of a file of the repository."""
    names = {source: page for page, source in ROOT_PAGES.items()}
    return names.get(target, target.removeprefix("docs/"))
