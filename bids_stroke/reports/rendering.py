"""HTML pages from the templates in ``data/templates``.

Pages are self-contained files with style, scripts and figures, and need no network. Templates escape
all text from the data.
"""

from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from bids_stroke.utils.files import PathLike, atomic

from . import columns


class Picture(NamedTuple):
    """Figure of a page: title and ``<svg>`` element."""

    title: str
    svg: Markup


def render(template: str, out: PathLike, **context: object) -> Path:
    """Render a template of ``data/templates`` to the file ``out``, atomically."""
    with atomic(out) as partial:
        partial.write_text(fragment(template, **context), encoding="utf-8")
    return Path(out)


def fragment(template: str, **context: object) -> Markup:
    """Render a template of ``data/templates`` to HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bids_stroke", "data/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "column_title": columns.column_title,
        "split_unit": columns.split_unit,
        "cell": columns.cell,
        "number": columns.number,
    }
    return Markup(environment.get_template(template).render(context))
