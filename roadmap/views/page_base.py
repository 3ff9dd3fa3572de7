"""Tell a browser that opens a page where the app begins.

Opened at ``/picture``, Streamlit's script asks for ``/picture/_stcore/health`` before it asks for
``/_stcore/health``: two errors in the console, and a round trip before the page is connected.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roadmap.views.not_found import below_app, is_visit

#: A page's address has one part, so the app begins in the folder of the address. This is what the
#: relative links of Streamlit's own page rely on, and it holds behind a proxy with a prefix.
SCRIPT = (
    b"<script>window.__streamlit = {BACKEND_BASE_URL: new URL('.', location.href).href}</script>"
)
#: With these, the answer is compressed, partial or the one that the browser has kept.
LEFT_OUT = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")


class PageBase:
    """ASGI middleware that adds ``SCRIPT`` to Streamlit's HTML of a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (is_visit(scope) and scope["method"] == "GET" and _is_page(scope["path"])):
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name not in LEFT_OUT]
        await self._app({**scope, "headers": headers}, receive, _Adding(send))


class _Adding:
    """``send`` with the script added to an HTML answer, which is sent as one piece."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._answer(self._start)

    async def _answer(self, start: Message) -> None:
        body = self._body.replace(b"<head>", b"<head>" + SCRIPT, 1)
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["content-length"] = str(len(body))
        for name in ("etag", "last-modified"):  # of the unchanged file
            del headers[name]
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _is_page(path: str) -> bool:
    below = below_app(path)
    return below.count("/") == 1 and below != "/"


def _is_html(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] == 200 and kind.startswith("text/html")
