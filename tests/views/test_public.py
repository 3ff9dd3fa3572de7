"""Who may start work: a visitor from elsewhere reads everything and starts nothing."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pages
import pytest
import streamlit
from browser import ROOT
from pages import checked, html
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.context import StreamlitHeaders
from websockets.sync.client import connect

from roadmap import visitors
from roadmap.background import queue as jobs
from roadmap.errors import RefusedError
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.sweep import background
from roadmap.sweep.background import Task

LOCAL = {
    "listens": "localhost",
    "peer": None,
    "url": "http://localhost:8501/builder",
    "headers": {"Host": "localhost:8501", "Origin": "http://localhost:8501"},
}


@pytest.fixture
def page_of(monkeypatch):
    """Sets where the visitor of the page that this thread runs comes from."""

    def page_of(*, listens, peer, url, headers, setting=""):
        monkeypatch.setenv(visitors.VARIABLE, setting)
        monkeypatch.setattr(visitors, "_page_runs", lambda: True)
        monkeypatch.setattr(streamlit, "get_option", {"server.address": listens}.get)
        found = StreamlitHeaders(list(headers.items()))
        context = SimpleNamespace(headers=found, ip_address=peer, url=url)
        monkeypatch.setattr(streamlit, "context", context)

    return page_of


@pytest.mark.parametrize(
    "differs",
    [
        {},
        {"listens": "127.0.0.1", "headers": {"Host": "127.0.0.1:8501"}, "url": None},
        {"listens": "::1", "headers": {"Host": "[::1]:8501", "Origin": "http://[::1]:8501"}},
        {"listens": "0.0.0.0", "peer": "10.0.0.7", "setting": "0"},
    ],
)
def test_the_owner_at_the_machine_may_start_work(page_of, differs):
    page_of(**LOCAL | differs)
    assert not visitors.is_public()
    visitors.require_owner("Training")


@pytest.mark.parametrize(
    "differs",
    [
        {"listens": None},  # streamlit run: every address
        {"listens": "0.0.0.0"},
        {"listens": "192.168.1.4"},
        {"peer": "10.0.0.7"},
        {"peer": "::ffff:10.0.0.7"},
        {"url": "https://explorer.example.org/builder"},
        {"headers": {}},  # a session that has ended
        {"headers": {"Host": "explorer.example.org"}},  # DNS that points here
        {"headers": {"Host": "localhost.example.org"}},
        {"headers": {"Host": "[::1"}},
        {"headers": {"Host": "localhost:8501", "Origin": "https://example.org"}},
        *({"headers": {"Host": "localhost:8501", name: "x"}} for name in visitors.FORWARDED),
        {"headers": {"host": "localhost:8501", "x-forwarded-for": "127.0.0.1"}},
        {"setting": "1"},
        {"setting": "TRUE"},
        {"setting": "nonsense"},
    ],
)
def test_anybody_else_may_not(page_of, differs):
    page_of(**LOCAL | differs)
    assert visitors.is_public()
    with pytest.raises(RefusedError, match="Training is disabled on this public explorer"):
        visitors.require_owner("Training")


@pytest.mark.parametrize(("secret", "public"), [(True, True), ("1", True), (0, False), ("", True)])
def test_the_setting_may_be_a_secret(page_of, monkeypatch, secret, public):
    page_of(**LOCAL | {"listens": "0.0.0.0"})
    secrets = SimpleNamespace(load_if_toml_exists=lambda: True, get=lambda *_: secret)
    monkeypatch.setattr(streamlit, "secrets", secrets)
    assert visitors.is_public() == public


def test_a_command_has_no_visitor(monkeypatch):
    monkeypatch.setenv(visitors.VARIABLE, "1")
    assert not visitors.is_public()


def test_a_wrong_setting_is_refused_where_the_app_starts():
    command = [sys.executable, "-m", "roadmap", "app"]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), visitors.VARIABLE: "maybe"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "ROADMAP_PUBLIC is 'maybe'; use 1" in ran.stderr


# On the server: the defaults, as visitors' programs meet them


def shown(address: str, page: str, headers: dict[str, str]) -> str:
    """The HTML of ``page`` as Streamlit's server at ``address`` sends it."""
    target = address.replace("http://", "ws://") + "/_stcore/stream"
    request = BackMsg()
    request.rerun_script.page_name = page
    bodies = []
    with connect(
        target, subprotocols=["streamlit"], max_size=None, additional_headers=headers
    ) as connection:
        connection.send(request.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(connection.recv(timeout=60))
            if answer.WhichOneof("type") == "script_finished":
                return "\n".join(bodies)
            element = answer.delta.new_element
            if element.WhichOneof("type") == "html":
                bodies.append(element.html.body)


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "203.0.113.9"}])
def test_a_server_on_localhost_is_closed_to_whom_a_proxy_brings(address, headers):
    page = shown(address, "builder", headers)
    assert ('class="own"' in page) == bool(headers)


# On the pages


@pytest.fixture
def public(monkeypatch, root):
    monkeypatch.setenv(visitors.VARIABLE, "1")
    return root


@pytest.mark.parametrize(
    ("page", "parameters", "sentence", "command", "buttons"),
    [
        ("training", {}, "Training is disabled", "--scale pocket", {"training-go"}),
        (
            "finder",
            {},
            "Measuring is disabled",
            "python -m roadmap find --top1 82",
            {"finder-go", "finder-make-onnx"},
        ),
        ("builder", {}, "Measuring is disabled", "python -m roadmap app", {"measure"}),
        (
            "builder",
            {},
            "Creating weights, ONNX and torch.export files is disabled",
            "python -m roadmap export --config resnet50.json",
            {"make-all", "make-onnx", "make-pt2", "make-safetensors"},
        ),
        (
            "inside",
            {"step": "gelu", "tab": "field"},
            "Measuring is disabled",
            "python -m roadmap app",
            {"measure-field"},
        ),
    ],
)
@pytest.mark.usefixtures("public")
def test_pages_say_what_is_closed_and_how_to_do_it_oneself(
    page, parameters, sentence, command, buttons, monkeypatch
):
    monkeypatch.setattr(jobs, "_spare", None)  # an earlier test's
    app = pages.opened(page, **parameters)
    assert sentence in html(app)
    assert command in html(app)
    assert not buttons & {button.key for button in app.button}
    assert jobs._spare is None


@pytest.mark.usefixtures("public")
def test_what_is_text_still_downloads():
    files = {each.proto.label for each in pages.opened("builder").get("download_button")}
    assert {"Python file", "Config, JSON"} <= files


def pressed(app, key: str, monkeypatch):
    """Presses a button of a page that has become public, as a program does that never lost it."""
    monkeypatch.setenv(visitors.VARIABLE, "1")
    app.button(key=key).click()
    return checked(app.run())


@pytest.fixture
def no_process(monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    yield
    assert started == []


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize(
    ("page", "key", "parameters"),
    [
        ("builder", "measure", {}),
        ("builder", "measure-pair", {"a": "resnet50.gelu", "b": "resnet50.kernel_7"}),
        ("builder", "make-all", {}),
        ("builder", "make-safetensors", {}),
        ("builder", "make-pt2", {}),
        ("inside", "measure-field", {"step": "patchify_stem", "tab": "field"}),
        ("training", "training-go", {}),
    ],
)
def test_a_forced_button_starts_nothing_and_writes_nothing(
    page, key, parameters, monkeypatch, tmp_path
):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(jobs, "prepare", lambda: None)
    monkeypatch.setattr("roadmap.views.inside.field.prepare", lambda: None)
    pressed(pages.opened(page, **parameters), key, monkeypatch)
    assert jobs._QUEUE._value == jobs.MOST_WAITING
    assert list(tmp_path.iterdir()) == []


def test_a_visitor_stops_nobodys_training(monkeypatch, tmp_path, page_of):
    code = "import time; time.sleep(60)"
    command = property(lambda _: lambda _: [sys.executable, "-c", code])
    monkeypatch.setattr(Task, "command", command)
    task = Task(roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=1)
    background.start(tmp_path, task)
    try:
        page_of(**LOCAL | {"peer": "10.0.0.7"})
        with pytest.raises(RefusedError, match="Stopping training is disabled"):
            background.stop(tmp_path)
        assert background.is_running(tmp_path)
        assert not background.read_task(tmp_path).stopped
    finally:
        page_of(**LOCAL)
        background.stop(tmp_path)
