"""What the load benchmark sends, counts and measures; it takes no times."""

import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import app_hostile
import hostile_requests
import pytest
from honest_visitors import value_of
from hostile_requests import KINDS, PARAMETERS, PLAN, Outcome
from process_memory import cpu_seconds, end, marked, megabytes
from streamlit.proto.Button_pb2 import Button
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NumberInput_pb2 import NumberInput
from streamlit.proto.Slider_pb2 import Slider
from visitor import Control, Visitor, widget_state

from roadmap.views.builder import address as builder_address


@pytest.mark.parametrize("number", range(5))
def test_long_networks_are_networks_of_1000_blocks(number):
    asked = parse_qs(hostile_requests.long_networks(random.Random(number)))
    for slot in {"a", "b"} & set(asked):
        assert sum(builder_address.parse_chosen(asked[slot][0]).config.depths) == 1000


def test_addresses_reach_every_parameter_of_the_pages():
    named = set()
    for number in range(200):
        named |= set(parse_qs(hostile_requests.absurd_address(random.Random(number)), True))
    assert named == set(PARAMETERS)
    largest = max(len(hostile_requests.large_address(random.Random(n))) for n in range(20))
    assert largest > 3_000_000


def test_every_kind_is_asked_in_its_share():
    assert Counter(PLAN) == {kind: share for kind, (_, share) in KINDS.items()}


@pytest.mark.parametrize("page", ["builder", "recipes"])
def test_files_are_the_same_in_every_run_and_some_are_over_any_limit(page):
    files = [hostile_requests.files(page, random.Random(number)) for number in range(40)]
    again = [hostile_requests.files(page, random.Random(number)) for number in range(3)]
    assert again == files[:3]
    sizes = [len(content) for _, content in files]
    assert max(sizes) == 100_000_000
    assert min(sizes) < 100_000
    right = ".json" if page == "builder" else ".png"
    assert 0.5 < sum(name.endswith(right) for name, _ in files) / len(files) < 1


@pytest.mark.parametrize("kind", ["number_input", "slider", "selectbox", "button_group", "button"])
def test_every_value_fits_the_protocol(kind):
    control = Control(kind, Button(id="a"), "")
    states = [
        widget_state("a", **hostile_requests.wild_value(control, random.Random(number)))
        for number in range(30)
    ]
    assert all(state.WhichOneof("value") for state in states)
    assert len({state.WhichOneof("value") for state in states}) > 3


def test_honest_values_are_those_of_the_control():
    chance = random.Random(0)
    number = NumberInput(id="a", default=5, min=1, max=5, step=2, has_min=True, has_max=True)
    for kind, whole in ((NumberInput.INT, "int_value"), (NumberInput.FLOAT, "double_value")):
        number.data_type = kind
        control = Control("number_input", number, "")
        values = {value_of(control, chance)[whole] for _ in range(20)}
        assert values == {3, 5}
    slider = Control("slider", Slider(id="a", min=0, max=2, step=0.5), "")
    chosen = {value_of(slider, chance)["double_array_value"][0] for _ in range(60)}
    assert chosen == {0, 0.5, 1, 1.5, 2}


class Closing(BaseHTTPRequestHandler):
    """Takes no file: says so, or breaks the connection off."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Set-Cookie", "_streamlit_xsrf=token; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self):
        assert self.headers["X-Xsrftoken"] == "token"
        assert self.headers["Cookie"] == "_streamlit_xsrf=token"
        if self.path == "/refused":
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(413)
        self.connection.close()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("path", ["/refused", "/broken"])
def test_a_file_that_the_server_does_not_take_is_refused(path):
    server = HTTPServer(("localhost", 0), Closing)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        url = f"http://localhost:{server.server_port}"
        assert hostile_requests.put(url, path, "a.json", b"x" * 3_000_000) == 413
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_is_gone_ends_the_attack(monkeypatch):
    monkeypatch.setattr(hostile_requests, "AGAIN", 0.0)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        url = f"http://localhost:{free.getsockname()[1]}"
    outcomes = hostile_requests.attack(url, sessions=2, requests=20)
    assert [outcome.outcome for outcome in outcomes] == ["no answer"] * 20
    assert Counter(outcome.kind for outcome in outcomes) == Counter(PLAN)


def test_every_process_with_the_mark_is_found_counted_and_ended():
    code = "import subprocess, sys; x = b'x' * 30_000_000; print(flush=True); sys.stdin.read()"
    environment = os.environ | {"MARK": "this"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    try:
        assert marked("MARK", "this") == [process.pid]
        assert marked("MARK", "thi") == []
        assert 30 < megabytes([process.pid]) < 100
        assert cpu_seconds(process.pid) >= 0
    finally:
        end([process.pid])
    assert process.wait() == -9
    assert megabytes([process.pid]) == 0
    end([process.pid])


def test_what_became_of_requests_is_counted_by_kind():
    outcomes = [
        Outcome("upload", "refused", 1.0),
        Outcome("upload", "answered", 3.0),
        Outcome("upload", "page error", 2.0),
        Outcome("flood", "no answer", 9.0),
    ]
    upload, flood = app_hostile.by_kind(outcomes)
    assert upload == {
        **{"kind": "upload", "requests": 3, "answered": 1, "refused": 1},
        **{"page_error": 1, "no_answer": 0, "median_s": 2.0, "longest_s": 3.0},
    }
    assert (flood["no_answer"], flood["longest_s"]) == (1, 9.0)


def test_late_answers_are_counted():
    found = app_hostile.figures([0.1] * 98 + [2.0, 2.1])
    assert found == {"samples": 100, "median_s": 0.1, "p95_s": 0.1, "longest_s": 2.1, "late": 1}


def test_a_visitor_keeps_what_the_page_shows_and_what_it_may_be_sent_as_a_hash():
    visitor = Visitor("http://localhost", None)
    page = ForwardMsg(hash="h")
    page.metadata.cacheable = True
    page.delta.new_element.button.id = "next"
    page.delta.fragment_id = "part"
    visitor.take(page.SerializeToString())
    assert visitor.controls["next"].fragment == "part"
    begin = ForwardMsg()
    begin.new_session.initialize.session_id = "s"
    visitor.take(begin.SerializeToString())
    assert (visitor.session_id, visitor.controls) == ("s", {})
    visitor.take(ForwardMsg(ref_hash="h").SerializeToString())
    assert list(visitor.controls) == ["next"]
    begin.metadata.run.fragment_ids.append("other")
    visitor.take(begin.SerializeToString())
    assert list(visitor.controls) == ["next"]
