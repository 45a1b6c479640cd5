"""HTML of templates, in which whatever is put is text, and the files that the page is made of."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from funnel.errors import FunnelError
from funnel.service.problem import HttpProblem
from funnel.values.shown import shown

#: No script and no style but the page's own files, and no other site.
SAFE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

_TYPES = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain", ".html": "text/html"}


class Templates:
    """Those of this folder. Raises: FunnelError where Jinja is not installed."""

    def __init__(self) -> None:
        try:
            import jinja2
        except ImportError as missing:
            raise FunnelError('the page needs jinja2: pip install "funnel-rank[serve]"') from missing
        self._world = jinja2.Environment(
            loader=jinja2.PackageLoader("funnel.service.page"), autoescape=True, trim_blocks=True,
            lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        self._world.filters |= {"json": json.dumps, "figure": figure}

    def response(self, name: str, **content: Any) -> Response:
        """A part of the page."""
        text = self._world.get_template(f"{name}.html").render(**content)
        return Response(text, media_type="text/html", headers=SAFE | {"cache-control": "no-store"})


class Files:
    """The files of the page, by name."""

    def __init__(self) -> None:
        folder = files("funnel.service.page") / "static"
        self._files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    async def response(self, request: Request) -> Response:
        """One of them, or that it has not changed. Raises: HttpProblem (404)."""
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            raise HttpProblem(404, f"the page has no file {shown(name)}")
        content = self._files[name]
        mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = SAFE | {"etag": mark, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_TYPES["." + name.rpartition(".")[2]], headers=headers)


def figure(value: Any, digits: int = 4) -> str:
    """A number for people; a dash for none."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
