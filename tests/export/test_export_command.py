"""``python -m roadmap export``: from options to a file and what is said about it."""

import errno
import json

import pytest
import torch
from fake_runs import write_run
from published_runs import CLASSES, filled, write_published
from safetensors.torch import save_file
from typer.testing import CliRunner

import models
from models import VARIANTS, ModelConfig
from models.files import read_weights, weights_content
from models.source import network_source
from models.weights import export_state_dict
from roadmap import ROADMAPS
from roadmap.cli import app
from roadmap.export import command, formats
from roadmap.export.check import ExportError
from roadmap.export.weights import initialized

SMALL = ModelConfig(depths=(1, 1), width=8, num_classes=5)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(here):
    (here / "my-net.json").write_text(SMALL.to_json())
    return ("--config", "my-net.json")


def export(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def done(*arguments):
    result = export(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_step_as_weights_for_models_load():
    options = ("--num-classes", 3, "--seed", 4, "--image-size", 32)
    said = done("--step", "gelu", "--format", "safetensors", *options)
    assert "random initial weights from seed 4 with the config." in said
    assert "Checked with models.load: outputs" in said
    network = models.load("resnet50_gelu.safetensors")
    assert network.config == ROADMAPS["resnet50"].config("gelu", num_classes=3)
    expected = initialized(network.config, 4).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    facts = {"roadmap": "resnet50", "step": "gelu", "seed": 4}
    assert read_weights("resnet50_gelu.safetensors").facts == facts


def test_a_config_as_python_and_as_programs(small, here):
    said = done(*small, "--format", "py", "--image-size", 32)
    assert "my_net.py: Python code of the network, without weights." in said
    assert (here / "my_net.py").read_text() == network_source(SMALL)
    said = done(*small, "--format", "pt2", "--image-size", 32)
    assert "weights from seed 0 with the config; takes any number of" in said
    assert "3 x 32 x 32 images and returns 5 logits." in said
    extra = {"seed": ""}
    network = torch.export.load(here / "my_net.pt2", extra_files=extra).module()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert extra["seed"] == "0"
    said = done(
        *(*small, "--format", "onnx", "--image-size", 32, "--num-classes", 0),
        *("--output", "folder/net.onnx"),
    )
    assert "3 x 32 x 32 images and returns features." in said
    assert "Checked with onnxruntime: outputs" in said
    assert (here / "folder" / "net.onnx").is_file()


def test_weights_of_ours_and_of_timms(here):
    run = write_published(here, "gelu")
    weights = run / "weights.safetensors"
    done("--weights", weights, "--format", "safetensors", "--output", "again.safetensors")
    assert (here / "again.safetensors").read_bytes() == weights.read_bytes()
    done("--weights", weights, "--format", "safetensors", "--num-classes", 0)
    assert models.load("weights.safetensors").config.num_classes == 0
    config = VARIANTS["convnext_tiny"].replace(depths=(1, 1), width=8)
    (here / "config.json").write_text(config.to_json())
    network = filled(config)
    save_file(export_state_dict(network.state_dict(), config, "timm"), "timm.safetensors")
    done("--weights", "timm.safetensors", "--config", "config.json", "--format", "safetensors")
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(models.load("config.safetensors")(images), network(images))


def test_a_run_as_its_weights_and_as_a_folder_for_the_hub(here):
    run = write_published(here, "gelu", 3)
    said = done("--run", run, "--format", "safetensors")
    assert f"the weights in {run}/weights.safetensors with the config" in said
    _, config, facts = read_weights("resnet50_gelu_seed3.safetensors")
    assert (config.num_classes, facts["seed"], facts["step"]) == (CLASSES, 3, "gelu")
    said = done("--run", run, "--format", "hub")
    assert "Publish it with: hf upload USER/NAME resnet50_gelu_seed3" in said
    files = {path.name for path in (here / "resnet50_gelu_seed3").iterdir()}
    others = {"network.py", "config.json", "class_map.txt", "README.md"}
    assert files == {"model.safetensors", *others}
    assert models.load("resnet50_gelu_seed3/model.safetensors").config == config


@pytest.mark.parametrize("form", ["py", "safetensors", "pt2", "onnx"])
def test_weights_that_are_not_finite_are_not_exported(form, here):
    state = filled(SMALL).state_dict()
    state["head.fc.bias"][0] = torch.nan
    save_file(state, "ours", metadata={"config": SMALL.to_json()})
    result = export("--weights", "ours", "--format", form)
    assert result.exit_code == 2
    assert "'head.fc.bias' has values that are not finite" in result.stderr
    assert [path.name for path in here.iterdir()] == ["ours"]
    if form == "py":  # has no weights
        return
    network = filled(SMALL)
    network.load_state_dict(state)
    with pytest.raises(ExportError, match="not finite"):
        formats.save(form, network, here / "a", {}, 64)


def test_a_run_whose_weights_are_not_finite_is_not_published(here):
    run = write_published(here, "gelu", 3)
    tensors, config, facts = read_weights(run / "weights.safetensors")
    tensors["head.fc.bias"][0] = torch.nan
    (run / "weights.safetensors").write_bytes(b"".join(weights_content(tensors, config, **facts)))
    result = export("--run", run, "--format", "hub", "--output", "hub")
    assert result.exit_code == 2
    assert "not finite" in result.stderr
    assert not (here / "hub").exists()


def test_checkpoints_of_training_programs_are_exported(small):
    state = {f"module.{key}": value for key, value in filled(SMALL).state_dict().items()}
    torch.save({"model": state, "epoch": 3}, "checkpoint.pth")
    done("--weights", "checkpoint.pth", *small, "--format", "safetensors", "--output", "a")
    assert read_weights("a").facts == {"part": "model"}
    expected = filled(SMALL).state_dict()
    network = models.load("a").state_dict()
    assert all(torch.equal(network[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--format", "py"), "use --step KEY, --config FILE"),
        (("--format", "py", "--step", "gelo"), "Did you mean 'gelu'?"),
        (("--format", "py", "--step", "gelu", "--roadmap", "resnet5"), "Did you mean 'resnet50'?"),
        (("--format", "py", "--config", "my.json", "--roadmap", "resnet200"), "add --step KEY, or"),
        (("--format", "py", "--weights", "ours", "--roadmap", "resnet50"), "omit --roadmap"),
        (("--format", "hub", "--run", "run", "--roadmap", "resnet5"), "omit --roadmap"),
        (("--format", "py", "--step", "gelu", "--config", "c.json"), "use only one of them"),
        (("--format", "py", "--config", "c.json"), "c.json cannot be read: No such file"),
        (("--format", "hub", "--step", "gelu"), "hub needs a finished run"),
        (("--format", "hub", "--run", "run", "--license", "Apache 2.0"), "such as apache-2.0"),
        (
            ("--format", "pt2", "--step", "gelu", "--license", "mit"),
            "for the model card",
        ),
        (("--format", "hub", "--run", "nowhere"), "There is no run.json"),
        (("--format", "hub", "--run", "run", "--num-classes", "3"), "uses the run's values"),
        (("--format", "onnx", "--weights", "w", "--seed", "1"), "omit it"),
        (("--format", "onnx", "--weights", "../nowhere"), "../nowhere does not exist"),
        (("--format", "onnx", "--weights", "bare"), "add --step KEY or --config FILE"),
        (("--format", "onnx", "--weights", "bare", "--step", "gelu"), "bare: these weights do not"),
        (("--format", "pt2", "--weights", "ours", "--step", "gelu"), "omit --step and --config"),
        (("--format", "pt2", "--weights", "ours", "--num-classes", "9"), "check num_classes"),
        (("--format", "safetensors", "--weights", "ours", "--output", "ours"), "use another"),
        (("--format", "safetensors", "--weights", "ours", "--output", "."), "is a folder"),
        (
            ("--format", "safetensors", "--weights", "ours", "--output", "ours/a"),
            "cannot be written",
        ),
        (("--format", "pt2", "--config", "patches.json", "--image-size", "3"), "at 3 pixels"),
    ],
)
def test_refusals_are_one_sentence_and_exit_code_2(arguments, sentence, here):
    (here / "patches.json").write_text(SMALL.replace(stem="patchify").to_json())
    save_file({"a": torch.ones(1)}, "bare")
    metadata = {"config": SMALL.to_json()}
    save_file(filled(SMALL).state_dict(), "ours", metadata=metadata)
    before = sorted(here.iterdir())
    result = export(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert result.stdout == ""
    assert sorted(here.iterdir()) == before


@pytest.fixture
def nothing_computed(monkeypatch):
    def computed(*_arguments):
        raise AssertionError("computed before it was refused")

    monkeypatch.setattr(command, "_subject", computed)


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize(
    ("form", "output", "sentence"),
    [
        ("py", ("--output", "mine.py"), "mine.py already exists: use another --output"),
        ("onnx", ("--output", "mine.py", "--force"), None),
        ("pt2", (), "my_net.pt2 already exists"),
        ("pt2", ("--output", "mine.py/a.pt2"), "mine.py/a.pt2 cannot be written: Not a directory"),
        ("pt2", ("--output", "new/a/b.pt2"), None),
    ],
)
def test_a_file_that_is_there_is_refused_before_anything_is_computed(
    form, output, sentence, small, here
):
    (here / "mine.py").write_text("mine")
    (here / "my_net.pt2").write_text("mine")
    result = export(*small, "--format", form, *output)
    if sentence:
        assert result.exit_code == 2, result.output
        assert sentence in result.stderr
    else:
        assert isinstance(result.exception, AssertionError)
    assert {path.name for path in here.iterdir()} == {"mine.py", "my_net.pt2", "my-net.json"}
    assert (here / "mine.py").read_text() == (here / "my_net.pt2").read_text() == "mine"


def test_force_replaces_a_file_but_not_the_weights_read(small, here):
    (here / "a.safetensors").write_text("old")
    options = (
        "--format",
        "safetensors",
        "--image-size",
        32,
        "--output",
        "a.safetensors",
        "--force",
    )
    done(*small, *options)
    assert models.load("a.safetensors").config == SMALL
    result = export("--weights", "a.safetensors", *options)
    assert result.exit_code == 2
    assert "is the weights file itself" in result.stderr


@pytest.mark.usefixtures("nothing_computed")
def test_a_folder_where_nothing_may_be_written_is_refused_at_once(small, monkeypatch):
    def refused(**_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(command.tempfile, "TemporaryFile", refused)
    result = export(*small, "--format", "pt2")
    assert result.exit_code == 2
    assert result.stderr == "Error: my_net.pt2 cannot be written: Permission denied.\n"


def test_a_format_that_is_none_is_refused():
    assert export("--step", "gelu", "--format", "tflite").exit_code == 2


def test_an_unfinished_run_is_refused(here):
    run = write_run(here, "gelu", done=1)
    result = export("--run", run, "--format", "onnx")
    assert result.exit_code == 2
    assert "use a finished run" in result.stderr
    assert json.loads((run / "run.json").read_text())["status"] == "running"
