"""HTML pages from the templates in ``data/templates``.

Every page is one file that needs no network: style, scripts and figures are inside it. Templates
escape whatever comes from the data.
"""

from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from bids_stroke.utils.files import PathLike, atomic

from . import columns


class Picture(NamedTuple):
    """A figure on a page: its title and its ``<svg>`` element."""

    title: str
    svg: Markup


def render(template: str, out: PathLike, **context: object) -> Path:
    """Render a template of ``data/templates`` into the file ``out``, atomically."""
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
    with atomic(out) as partial:
        partial.write_text(environment.get_template(template).render(context), encoding="utf-8")
    return Path(out)
