"""The page Finder, run by Streamlit's own test harness; nothing is measured."""

from __future__ import annotations

import json
from concurrent.futures import Future
from functools import partial
from threading import Event
from types import SimpleNamespace

import pages
import pytest
from finder_rows import MACHINE, question, row
from pages import address, checked, html
from streamlit.testing.v1 import AppTest

from roadmap import ROADMAPS, visitors
from roadmap.find import search, store
from roadmap.find.candidates import of_config
from roadmap.find.search import Search
from roadmap.views.finder import ask, page

opened = partial(pages.opened, "finder")
H200 = {"device": "NVIDIA H200", "batch": "256", "dtype": "bf16"}


@pytest.fixture(autouse=True)
def this_machine(tmp_path, monkeypatch):
    """A machine with one CPU, on which nothing is measured yet."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    monkeypatch.setattr(store, "RESULTS", tmp_path / "none")
    monkeypatch.setattr(ask, "_looking", lambda: looked({"cpu": MACHINE}))
    monkeypatch.setattr(search, "_current", None)


def looked(found: dict[str, str]) -> Future[dict[str, str]]:
    """The finished search for the devices of a machine."""
    future: Future[dict[str, str]] = Future()
    future.set_result(found)
    return future


def title(app: AppTest) -> str:
    return html(app).split('<h2 class="step">')[1].split("</h2>")[0].replace("<wbr>", "")


def chart(app: AppTest) -> list[dict]:
    (found,) = app.get("plotly_chart")
    return json.loads(found.proto.spec)["data"]


def measured(name: str, speed: float, **changes):
    store.add(row(name, speed, batch_size=1, batch_size_asked=1, **changes))


def test_it_opens_on_this_machine_and_says_what_can_be_had_in_how_long():
    app = opened()
    assert app.selectbox(key="finder-device").value == "cpu"
    assert "that can win take about" in html(app)
    assert "No network with at least 82.0% top-1 has been measured yet" in html(app)
    assert not app.get("plotly_chart")
    assert app.button(key="finder-go").label == "Measure"


def test_a_device_with_figures_is_answered_at_once():
    app = opened(**H200)
    assert "is the fastest of the" in html(app)
    assert "measured on another machine, NVIDIA H200" in html(app)
    assert "The answer so far</p>" in html(app)  # these figures are not of all that can win
    assert "networks that can win is measured yet.</p>" in html(app)
    assert "finder-go" not in [button.key for button in app.button]
    (found,) = app.get("plotly_chart")
    assert "On the Pareto front: " in found.proto.alt
    assert title(app) in found.proto.alt


def test_an_answer_is_final_once_every_network_that_can_win_is_measured():
    for each in search.prepared(question(85.0, batch_size=1), 10).plan.first:
        measured(each.name, 10, source=each.source, image_size=each.image_size)
    app = opened(top1="85")
    assert "The answer</p>" in html(app)
    assert "not measured yet" not in html(app)


def test_a_link_to_a_measured_device_does_not_wait_for_those_of_this_machine(monkeypatch):
    looking: Future[dict[str, str]] = Future()
    monkeypatch.setattr(ask, "_looking", lambda: looking)
    app = opened(**H200)
    assert "is the fastest of the" in html(app)
    assert "this CPU" not in " ".join(app.selectbox(key="finder-device").options)
    looking.set_result({"cpu": MACHINE})
    assert "this CPU" in " ".join(checked(app.run()).selectbox(key="finder-device").options)


def test_a_link_that_names_the_device_of_this_machine_may_measure_on_it(monkeypatch):
    monkeypatch.setattr(ask, "_looking", lambda: looked({"cuda": "NVIDIA H200"}))
    app = opened(**H200)
    assert app.selectbox(key="finder-device").value == "cuda"
    assert "finder-go" in [button.key for button in app.button]
    assert 'class="notice"' not in html(app)


def test_the_sentence_is_the_address():
    app = opened()
    app.number_input(key="finder-top1").set_value(83.5)
    checked(app.run())
    app.selectbox(key="finder-device").set_value("NVIDIA H200")
    checked(app.run())
    app.selectbox(key="finder-best").set_value("memory")
    checked(app.run())
    assert address(app) == {"top1": "83.5", "device": "NVIDIA H200", "best": "memory"}
    again = opened(**address(app))
    assert again.number_input(key="finder-top1").value == 83.5
    assert "No network with at least 83.5%" in html(again) or "is the smallest" in html(again)


def test_the_winner_its_lines_and_the_chart():
    measured("hgnetv2_b3", 50)
    measured("hgnetv2_b4", 25, disturbed="other processes used 50% of the machine's cores")
    measured("resnet50", 100)  # less accurate than asked
    app = opened()
    assert title(app) == "hgnetv2_b3"
    assert "The answer so far</p>" in html(app)  # others that can win are not measured yet
    assert "<b>20.0 ms</b><b>82.9%</b>" in html(app)
    assert "hgnetv2_b4 may be faster" in html(app)
    assert "networks that can win are not measured yet.</p>" in html(app)
    lines = [element.value for element in app.code]
    assert lines[0] == 'timm.create_model("hgnetv2_b3.ssld_stage2_ft_in1k", pretrained=True)'
    assert "torch.inference_mode()" in lines[1]
    (marks,) = [trace for trace in chart(app) if trace.get("name") == "timm"]
    assert dict(zip(marks["x"], marks["marker"]["symbol"], strict=True)) == {
        10.0: "circle",
        20.0: "circle",
        40.0: "circle-open",
    }
    assert app.button(key="finder-go").label == "Continue"
    assert set(app.dataframe[0].value["test_set"]) == {"ImageNet-1K validation"}
    assert "figure on the ImageNet-1K validation set" in html(app)
    assert set(app.dataframe[0].value["network"]) == {"hgnetv2_b3", "hgnetv2_b4", "resnet50"}


def test_the_legend_says_what_the_chart_has():
    measured("hgnetv2_b3", 50)
    assert "Pareto front" not in html(opened())  # of one network there is nothing to say
    measured("resnet50", 40)
    page = html(opened())
    assert "</i>Pareto front</span>" not in page
    assert (
        "The Pareto front is one network: no other measured network has lower latency or higher "
        "accuracy than hgnetv2_b3." in page
    )
    assert "no other measured network has higher throughput or" in html(opened(best="throughput"))
    assert "</i>answer</span>" in page
    assert "</i>answer</span>" not in html(opened(top1="90"))
    measured("hgnetv2_b5", 10, disturbed="it was busy")
    page = html(opened())
    assert "</i>Pareto front</span>" in page
    assert "The Pareto front is one network" not in page
    assert "</i>disturbed</span>" in page
    assert "</i>your config</span>" not in page


def test_pressing_the_button_starts_one_search(monkeypatch):
    started: list[Search] = []

    class Thread:
        def __init__(self, target, **_more):
            started.append(target.__self__)

        def start(self):
            started[-1].now = started[-1].waiting.popleft()
            started[-1].busy = "other processes used 60% of the machine's cores"

    monkeypatch.setattr(search, "threading", SimpleNamespace(Thread=Thread, Event=Event))
    app = opened(top1="83")
    app.button(key="finder-go").click()
    checked(app.run())
    assert len(started) == 1
    assert started[0].question.top1 == 83
    assert "The machine is busy: other processes used 60%" in html(app)
    (bar,) = app.get("progress")
    assert bar.proto.text.startswith(f"Building {started[0].now.title}, 1 of ")
    assert "finder-go" not in [button.key for button in app.button]
    measured("hgnetv2_b5", 10)
    assert title(checked(app.run())) == "hgnetv2_b5"  # points land while it runs
    app.button(key="finder-stop").click()
    app.run()
    assert started[0]._stop.is_set()
    started[0].state = "stopped"
    again = opened(top1="83")
    assert "Stopped; what was measured is kept." in html(again)


def test_it_says_at_once_which_network_is_built_or_measured_and_of_how_many():
    running = search.prepared(question(82.0, batch_size=1), 10)
    first, second, *_ = running.waiting
    total = len(running.waiting)
    assert page.progress(running) == (0, f"Building {first.title}, 1 of {total}")
    running.now = running.waiting.popleft()
    assert page.progress(running) == (0, f"Building {first.title}, 1 of {total}")
    running.job = SimpleNamespace(done=0, total=0)  # its process loads its libraries
    assert page.progress(running) == (0, f"Building {first.title}, 1 of {total}")
    running.job = SimpleNamespace(done=3, total=15)
    said = f"Measuring {first.title}, 1 of {total}: run 3 of 15"
    assert page.progress(running) == (pytest.approx(0.2 / total), said)
    running.job, running.now = None, running.waiting.popleft()
    assert page.progress(running) == (1 / total, f"Building {second.title}, 2 of {total}")
    running.waiting.clear()
    running.repeating = True
    assert page.progress(running) == (1, f"Building {second.title}, again")


def test_a_second_search_is_not_started_and_the_first_is_shown(monkeypatch):
    app = opened()
    running = search.prepared(question(82.0, batch_size=1), 10)
    monkeypatch.setattr(search, "_current", running)
    app.button(key="finder-go").click()
    checked(app.run())
    assert search.current() is running
    assert app.button(key="finder-stop")


def test_visitors_from_elsewhere_read_and_start_nothing(monkeypatch):
    monkeypatch.setenv(visitors.VARIABLE, "1")
    app = opened(**H200)
    assert "is the fastest of the" in html(app)
    assert "python -m roadmap find --top1 82 --batch-size 256 --dtype bf16" in html(app)
    keys = [button.key for button in app.button]
    assert not {"finder-go", "finder-make-onnx", "finder-stop"} & set(keys)
    assert not app.get("file_uploader")
    assert MACHINE not in html(app)


def test_a_forced_button_of_a_page_that_became_public_starts_nothing(monkeypatch):
    app = opened()
    monkeypatch.setenv(visitors.VARIABLE, "1")
    app.button(key="finder-go").click()
    checked(app.run())
    assert search.current() is None
    assert "Measuring is disabled on this public explorer" in html(app)


def test_the_network_of_the_builder_is_measured_first_and_compared():
    mine = of_config(ROADMAPS["resnet50"].config("separate_downsampling", kernel_size=5))
    measured(mine.name, 100, source="config")
    measured("hgnetv2_b3", 50)
    app = AppTest.from_string(pages.script("finder"), default_timeout=pages.TIMEOUT)
    app.session_state["builder"] = {"a": "resnet50.separate_downsampling~kernel_size.5"}
    checked(app.run())
    assert "Your config: 10.0 ms" in html(app)
    assert "2.00 times better than hgnetv2_b3" in html(app)
    assert "</i>your config</span>" in html(app)
    assert title(app) == "hgnetv2_b3"
    assert "Your config" not in html(opened())


@pytest.mark.parametrize(
    "parameters",
    [
        {"top1": "<script>alert(1)</script>"},
        {"top1": "1e999"},
        {"top1": "9" * 50_000},
        {"device": "../../etc/passwd", "batch": "0"},
        {"dtype": "\x00", "best": "speed"},
    ],
)
def test_whatever_the_url_says_there_is_one_message_and_a_page(parameters):
    app = opened(**parameters)
    assert html(app).count('class="notice"') == 1
    assert "<script>alert" not in html(app)
    assert len(html(app)) < 20_000
    assert app.number_input(key="finder-top1").value == 82.0
