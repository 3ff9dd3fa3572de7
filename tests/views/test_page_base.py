"""A page's HTML says where the app begins, so that nothing is asked for below the page."""

from __future__ import annotations

import pytest
from browser_pages import idle
from playwright.sync_api import expect
from streamlit import config

from roadmap.views.page_base import SCRIPT, PageBase

HTML = b"<html><head><title>x</title></head></html>"
VISIT = "text/html,application/xhtml+xml,*/*;q=0.8"


def answered(path, kind="text/html; charset=utf-8", accept=VISIT, status=200):
    """The app's headers of the request, and the status, headers and body of the answer."""
    sent, asked = [], {}

    async def app(scope, _receive, send):
        asked.update(scope["headers"])
        headers = [(b"content-type", kind.encode()), (b"content-length", b"42"), (b"etag", b"a")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": HTML[:20], "more_body": True})
        await send({"type": "http.response.body", "body": HTML[20:]})

    async def keep(message):
        sent.append(message)

    headers = [(b"accept", accept.encode()), (b"accept-encoding", b"gzip"), (b"cookie", b"c")]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    with pytest.raises(StopIteration):
        PageBase(app)(scope, None, keep).send(None)
    body = b"".join(message.get("body", b"") for message in sent)
    return asked, sent[0]["status"], dict(sent[0]["headers"]), body


@pytest.mark.parametrize("base", ["", "/explorer"])
def test_a_page_gets_the_script_and_its_length(monkeypatch, base):
    monkeypatch.setattr(config, "get_option", lambda _: base.strip("/"))
    asked, status, headers, body = answered(f"{base}/picture")
    assert status == 200
    assert body == HTML.replace(b"<head>", b"<head>" + SCRIPT)
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"etag" not in headers
    assert asked == {b"accept": VISIT.encode(), b"cookie": b"c"}  # no compressed answer


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/"},
        {"path": "/static/js/x.js", "kind": "text/javascript"},
        {"path": "/icon.png", "kind": "image/png"},
        {"path": "/picture", "accept": "*/*"},
        {"path": "/picture", "status": 404},
    ],
    ids=str,
)
def test_other_answers_are_left_alone(request_):
    _, status, headers, body = answered(**request_)
    assert (status, body) == (request_.get("status", 200), HTML)
    assert headers[b"content-length"] == b"42"


@pytest.mark.parametrize("path", ["sizes", "glossary?term=gelu"])
def test_nothing_that_a_page_asks_for_is_missing(open_path, path):
    page = open_path("_stcore/health")
    failed = []
    page.on("response", lambda answer: answer.status >= 400 and failed.append(answer.url))
    page.goto(page.url.replace("_stcore/health", path))
    expect(page.locator("h1")).to_be_visible(timeout=30_000)
    idle(page)
    page.close()  # with its listener
    assert failed == []
