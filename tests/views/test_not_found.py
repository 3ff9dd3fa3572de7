"""An address below a page is answered with a page that leads home; all else is Streamlit's."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from streamlit import config

from roadmap.views.not_found import NotFound

VISIT = "text/html,application/xhtml+xml,*/*;q=0.8"


def answered(path, accept=VISIT, method="GET"):
    """The status and body of the answer; 200 is the app's own."""
    start, body = sent_for(path, accept, method)
    return start["status"], body


def sent_for(path, accept=VISIT, method="GET", query=b""):
    sent = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def keep(message):
        sent.append(message)

    headers = [(b"accept", accept.encode())]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": headers,
        "query_string": query,
    }
    with pytest.raises(StopIteration):  # nothing waits; Playwright's tests leave a running loop
        NotFound(app)(scope, None, keep).send(None)
    return sent[0], b"".join(each.get("body", b"") for each in sent).decode()


@pytest.mark.parametrize("base", ["", "/explorer"])
@pytest.mark.parametrize("path", ["/inside/foo", "/inside/foo/", "/a/b/c/d", "/<b>/<i>"])
def test_an_address_below_a_page_leads_home(monkeypatch, base, path):
    monkeypatch.setattr(config, "get_option", lambda _: base.strip("/"))
    status, body = answered(base + path)
    assert status == 404
    link = body.split('<a href="')[1].split('"')[0]
    assert urljoin(f"http://host{base}{path}", link) == f"http://host{base}/"
    assert "<i>" not in body


@pytest.mark.parametrize(
    "path",
    ["/", "/inside", "/inside/", "/static/js/x.js", "/media/a.csv", "/inside/_stcore/health"],
)
def test_other_addresses_are_left_alone(path):
    assert answered(path)[0] == 200


@pytest.mark.parametrize(("accept", "method"), [("*/*", "GET"), (VISIT, "POST")])
def test_what_a_page_asks_for_is_left_alone(accept, method):
    assert answered("/inside/foo", accept, method)[0] == 200


@pytest.mark.parametrize("base", ["", "/explorer"])
def test_the_roadmap_by_its_name_is_the_root(monkeypatch, base):
    monkeypatch.setattr(config, "get_option", lambda _: base.strip("/"))
    start, _ = sent_for(f"{base}/roadmap", query=b"step=gelu&view=path")
    location = dict(start["headers"])[b"location"].decode()
    assert start["status"] == 307
    assert urljoin(f"http://host{base}/roadmap", location) == (
        f"http://host{base}/?step=gelu&view=path"
    )
