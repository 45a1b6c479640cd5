"""Pages from templates: each extends `base.html`, and is one file that needs no other and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from funnel.errors import FunnelError

#: What a template calls as `value | name`.
Filters = Mapping[str, Callable[..., str]]


def write(
    path: Path, template: str, content: Mapping[str, Any], filters: Mapping[str, Callable[..., str]]
) -> Path:
    """Write a page to `path`, whose folder is made where it is not there; returns the path.

    content: all that the template reads. Raises FunnelError where the `plot` extra is not installed.
    """
    try:
        import jinja2
    except ImportError as missing:
        raise FunnelError('the page needs jinja2: pip install "funnel-rank[plot]"') from missing
    world = jinja2.Environment(
        loader=jinja2.PackageLoader("funnel.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    world.filters |= filters
    text = world.get_template(template).render(**content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
