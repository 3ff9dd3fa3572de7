"""Uploads: bounded each by the server's setting, together by ours, and before they are parsed."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import pages
import pytest
from browser import ROOT
from pages import address as url
from pages import checked, html
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from websockets.sync.client import connect

from roadmap.views.builder.head import MOST_BYTES
from roadmap.views.common import pictures, uploads

MB = 2**20
SETTINGS = (ROOT / ".streamlit" / "config.toml").read_text()


def test_the_server_takes_what_the_pages_take():
    (limit,) = re.findall(r"^maxUploadSize = (\d+)$", SETTINGS, re.M)
    assert int(limit) * MB == pictures.MOST_BYTES


# All files together


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setattr(uploads, "MOST_OF_SESSION", 30)
    monkeypatch.setattr(uploads, "MOST", 50)
    manager = MemoryUploadedFileManager("/upload")
    manager.add_file("early", UploadedFileRec("0", "a.png", "image/png", bytes(5)))
    uploads.Ledger(manager)
    return manager


def add(manager, session: str, name: str, size: int) -> None:
    manager.add_file(session, UploadedFileRec(name, "a.png", "image/png", bytes(size)))


def kept(manager) -> dict[str, list[str]]:
    storage = manager.file_storage
    return {session: list(files) for session, files in storage.items() if files}


def test_a_session_with_too_much_loses_its_oldest(manager):
    for number in range(9):
        add(manager, "a", str(number), 10)
    assert kept(manager) == {"early": ["0"], "a": ["6", "7", "8"]}
    add(manager, "a", "8", 10)  # once more
    assert kept(manager)["a"] == ["6", "7", "8"]


def test_who_fills_the_memory_displaces_nobody_else(manager):
    add(manager, "honest", "mine", 10)
    for session in "ab":
        for number in range(5):
            add(manager, session, str(number), 10)
    found = kept(manager)
    assert found["honest"] == ["mine"]
    assert found["early"] == ["0"]
    assert sum(map(len, found.values())) * 10 <= 50 + 5
    assert manager._total_bytes <= 50


def test_what_is_removed_makes_room(manager):
    for number in range(3):
        add(manager, "a", str(number), 10)
    manager.remove_file("a", "1")
    add(manager, "a", "3", 10)
    assert kept(manager)["a"] == ["0", "2", "3"]
    manager.remove_session_files("a")
    for number in range(3):
        add(manager, "a", str(number), 10)
    assert kept(manager) == {"early": ["0"], "a": ["0", "1", "2"]}


def token(address: str) -> dict[str, str]:
    """The headers that show the server that it was asked before."""
    with urllib.request.urlopen(f"{address}/_stcore/health", timeout=30) as answer:
        cookie = answer.headers["Set-Cookie"].split(";")[0]
    return {"Cookie": cookie, "X-Xsrftoken": cookie.partition("=")[2].strip('"')}


def put(address: str, session: str, name: str, size: int) -> int:
    """Uploads ``size`` bytes as a browser's form does; the status that the server answers."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    request = urllib.request.Request(
        f"{address}/_stcore/upload_file/{session}/{name}",
        data=head + bytes(size) + b"\r\n--x--\r\n",
        method="PUT",
        headers=token(address) | {"Content-Type": "multipart/form-data; boundary=x"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:  # it hung up before it had read all of it
        return 413


def memory(address: str) -> int:
    """Bytes of uploads that the server says it keeps."""
    with urllib.request.urlopen(f"{address}/_stcore/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = [line.rsplit(" ", 1)[1] for line in lines if "UploadedFileManager" in line]
    return sum(map(int, found))


def test_a_program_that_uploads_without_end_is_bounded(address):
    """The server asks for no page to be open on which a file could be chosen."""
    target = address.replace("http://", "ws://") + "/_stcore/stream"
    with connect(target, subprotocols=["streamlit"], max_size=None) as connection:
        session = begun(connection)
        assert put(address, session, "large", 11 * MB) == 413
        for number in range(12):
            assert put(address, session, str(number), 9 * MB) == 204
        assert 0 < memory(address) <= uploads.MOST_OF_SESSION


def begun(connection) -> str:
    """The session's name, once its first page has run."""
    from streamlit.proto.BackMsg_pb2 import BackMsg

    request = BackMsg()
    request.rerun_script.page_name = "method"
    connection.send(request.SerializeToString())
    session = ""
    while True:
        answer = ForwardMsg.FromString(connection.recv(timeout=60))
        kind = answer.WhichOneof("type")
        if kind == "new_session":
            session = answer.new_session.initialize.session_id
        elif kind == "script_finished":
            return session


# Before parsing


def test_a_config_that_is_too_large_is_not_parsed(monkeypatch):
    app = pages.opened("builder", a="variant.convnext_tiny")
    monkeypatch.setattr("models.config.json.loads", lambda _: pytest.fail("it was parsed"))
    content = b'{"width": 8}' + b" " * MOST_BYTES
    app.file_uploader(key="upload").upload("config.json", content, "application/json")
    checked(app.run())
    assert "The file is 64.0 kB, and the limit is 64 kB" in html(app)
    assert url(app)["a"] == "variant.convnext_tiny"


def test_every_uploader_has_a_limit_within_the_servers():
    source = "".join(
        path.read_text() for path in Path(pictures.__file__).parents[1].glob("**/*.py")
    )
    assert source.count("st.file_uploader(") == source.count("max_upload_size=") == 4
