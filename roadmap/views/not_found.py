"""The page for an address below a page, such as ``/inside/foo``, which leads home.

Streamlit answers such an address with its own page, whose links are relative, so nothing loads.
It serves the roadmap at the root only; ``/roadmap``, a page's name like the others, leads there.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config

#: First parts of addresses that are not pages: Streamlit's own files and requests.
RESERVED = ("_stcore", "app", "component", "media", "static")
ROADMAP = "/roadmap"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Page not found – From ResNet to ConvNeXt</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; font: 1rem/1.5 system-ui, sans-serif;
  color: light-dark(#1f2328, #e8e6e1); background: light-dark(#ffffff, #15171b); }}
main {{ max-width: 40rem; margin: 0 auto; padding: 4rem 1.5rem; }}
h1 {{ font: 600 2.25rem/1.2 Georgia, serif; margin: 0 0 1rem; }}
a {{ color: light-dark(#3557a8, #93b0f0); }}
</style>
</head>
<body>
<main>
<h1>Page not found</h1>
<p>There is no page at this address.</p>
<p><a href="{home}">Go to the roadmap from ResNet to ConvNeXt</a></p>
</main>
</body>
</html>
"""


class NotFound:
    """ASGI middleware that answers a browser's request for an address below a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_visit(scope) and below_app(scope["path"]) == ROADMAP:
            query = scope.get("query_string", b"").decode("latin-1")
            root: Response = RedirectResponse("./" + f"?{query}" * bool(query))
            await root(scope, receive, send)
            return
        home = _home(scope["path"]) if is_visit(scope) else None
        if home is None:
            await self._app(scope, receive, send)
            return
        page = HTMLResponse(PAGE.format(home=home), 404, headers={"Cache-Control": "no-cache"})
        await page(scope, receive, send)


def is_visit(scope: Scope) -> bool:
    """Whether a reader opens an address, rather than a page one of its files."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def below_app(path: str) -> str:
    """Return the path of a request as if the app were served at the root."""
    base = config.get_option("server.baseUrlPath").strip("/")
    return path.removeprefix(f"/{base}") if base else path


def _home(path: str) -> str | None:
    """Return the relative link home from an address below a page; None for any other address.

    It is relative because a proxy may serve the app under a prefix.
    """
    below = below_app(path)
    parts = [part for part in below.split("/") if part]
    if len(parts) < 2 or parts[0] in RESERVED or "_stcore" in parts:
        return None
    return "../" * (below.count("/") - 1)
