"""The builder's files: all one after the other, each by itself if another fails, and in one zip."""

from __future__ import annotations

import io
import zipfile
from functools import partial

import pages
import pytest
from pages import checked, html

from models import ModelConfig
from roadmap.errors import RefusedError
from roadmap.export import packages
from roadmap.views.builder import downloads
from roadmap.views.builder.downloads import progress_words, zipped

opened = partial(pages.opened, "builder")
SMALL = "resnet50.kernel_7~depths.1-1~width.8"


class Scripted:
    """A job of the queue whose states are told in advance, by format."""

    states: dict[str, str] = {}  # noqa: RUF012
    error = "It did not work."
    done, total = 1, 4  # of the one that runs

    def __init__(self, _task: str, form: str, folder, **request):
        self.form, self.request = form, request
        self.folder = folder / form
        self.folder.mkdir(exist_ok=True)
        self.result = {"difference": 0.0}
        self.canceled = False

    def start(self, path: str):
        if self.state == "refused":
            raise RefusedError("20 measurements and exports are already waiting.")
        (self.folder / path.rpartition("/")[2]).write_bytes(self.form.encode())

    @property
    def state(self) -> str:
        return "canceled" if self.canceled else self.states[self.form]

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")

    def look(self) -> str:
        return self.state

    def cancel(self) -> None:
        self.canceled = True

    def discard(self) -> None:
        pass


@pytest.fixture
def states(monkeypatch, tmp_path):
    """The states of the jobs, by format."""
    monkeypatch.setattr(downloads, "Job", partial(Scripted, folder=tmp_path))
    found = {"safetensors": "done", "onnx": "done", "pt2": "done"}
    monkeypatch.setattr(Scripted, "states", found)
    return found


def created(**parameters):
    app = opened(**({"a": SMALL, "image": "64"} | parameters))
    app.button(key="make-all").click()
    return checked(app.run())


def offered(app) -> list[str]:
    """The labels of the page's buttons to save a file."""
    return [each.proto.label for each in app.get("download_button") if "Save" in each.proto.label]


def progress(app) -> list[tuple[int, str]]:
    return [(each.proto.value, each.proto.text) for each in app.get("progress")]


def test_all_files_are_created_and_offered_one_by_one_and_together(states):
    stem = "resnet50-kernel-7-depths-1-1-width-8"
    app = created()
    each = [f"Save {stem}.{form}" for form in states]
    assert offered(app) == [*each, f"Save all as {stem}.zip"]
    assert progress(app) == []


def test_progress_is_in_percent_of_all_files_and_moves_while_one_is_created(states, monkeypatch):
    states |= {"onnx": "running", "pt2": "waiting"}
    monkeypatch.setattr(Scripted, "done", 0)
    app = created()
    assert progress(app) == [(33, "33%: creating ONNX, then torch.export")]
    job = app.session_state["exporting-onnx"]
    job.done = 2  # of four stages of the second of three files
    assert progress(checked(app.run())) == [(50, "50%: creating ONNX, then torch.export")]
    assert [label[-12:] for label in offered(app)] == [".safetensors"]  # it need not wait
    assert app.button(key="make-all").disabled
    states["onnx"] = states["pt2"] = "done"
    assert progress(checked(app.run())) == []
    assert len(offered(app)) == 4


def test_a_file_that_fails_is_said_by_name_and_does_not_stop_the_others(states):
    states["onnx"] = "failed"
    app = created()
    assert '<p class="notice" role="status">ONNX: It did not work.</p>' in html(app)
    assert [label.rpartition(".")[2] for label in offered(app)] == ["safetensors", "pt2", "zip"]


def test_a_file_that_is_refused_does_not_stop_the_others(states):
    states["pt2"] = "refused"
    app = created()
    said = "The torch.export file was not created. 20 measurements and exports are already waiting."
    assert said in html(app)
    assert [label.rpartition(".")[2] for label in offered(app)] == ["safetensors", "onnx", "zip"]


@pytest.mark.usefixtures("states")
def test_a_missing_package_leaves_the_other_files(monkeypatch):
    monkeypatch.setattr(packages, "missing_packages", lambda: ("onnxscript",))
    app = created()
    assert "The ONNX file was not created. ONNX export needs onnxscript: " in html(app)
    assert [label.rpartition(".")[2] for label in offered(app)] == ["safetensors", "pt2", "zip"]


def test_cancel_ends_all_that_has_not_ended(states):
    states |= {"onnx": "running", "pt2": "waiting"}
    app = created()
    app.button(key="cancel-exporting").click()
    checked(app.run())
    assert html(app).count("Canceled.") == 2
    assert [label[-12:] for label in offered(app)] == [".safetensors"]


@pytest.mark.usefixtures("states")
def test_files_are_only_offered_beside_the_network_that_they_hold():
    app = created()
    app.query_params["a"] = SMALL.replace("width.8", "width.16")
    assert offered(checked(app.run())) == []
    app.query_params["a"] = SMALL
    assert len(offered(checked(app.run()))) == 4


@pytest.mark.usefixtures("states")
def test_a_zip_too_large_for_the_memory_is_a_sentence(monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST_ZIP", 10)
    app = created()
    assert len(offered(app)) == 3
    assert "One zip of all files would have 0.0 GB: save them one by one." in html(app)


@pytest.mark.usefixtures("states")
def test_one_file_alone():
    app = opened(a=SMALL, image="64")
    app.button(key="make-onnx").click()
    assert [label.rpartition(".")[2] for label in offered(checked(app.run()))] == ["onnx"]


def test_the_zip_has_the_files_the_source_and_the_config(tmp_path):
    config = ModelConfig(depths=(1,), width=8)
    files = [tmp_path / f"small.{form}" for form in ("onnx", "pt2")]
    for file in files:
        file.write_bytes(file.suffix.encode() * 100)
    with zipfile.ZipFile(io.BytesIO(zipped(config, files))) as together:
        assert together.testzip() is None
        names = ["small.py", "small.json", "small.onnx", "small.pt2"]
        assert together.namelist() == names
        assert ModelConfig.from_json(together.read("small.json").decode()) == config
        assert together.read("small.pt2") == b".pt2" * 100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.onnx", "small.pt2"]


@pytest.mark.parametrize(
    ("pending", "states", "words"),
    [
        (["weights", "ONNX"], ["running", "waiting"], "0%: creating weights, then ONNX"),
        (["weights", "ONNX"], ["waiting", "running"], "0%: creating ONNX, then weights"),
        (["ONNX"], ["running"], "0%: creating ONNX"),
        (["ONNX"], ["waiting"], "0%: Waiting for another measurement or export"),
    ],
)
def test_progress_says_what_is_created_now(pending, states, words):
    assert progress_words(pending, 0.0, states).startswith(words)
