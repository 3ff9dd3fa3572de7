"""Every step in every format: the file is the network, or is not written."""

import functools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch

import models
from models import ModelConfig, ModernResNet
from models.kernels.depthwise import depthwise_conv2d
from models.kernels.depthwise import layer as depthwise_layer
from roadmap import ROADMAPS
from roadmap.definition import Roadmap
from roadmap.export import check, formats, packages, program, source, weights
from roadmap.export import onnx as onnx_export
from roadmap.export.check import ExportError, fill
from roadmap.export.formats import save
from roadmap.tables.results import read_rows

FORMS = tuple(formats.CHECKED_BY)
SIZE = 32
pytestmark = pytest.mark.usefixtures("one_thread")

#: Small, with a layer of every kind.
CONVNEXT = (
    ROADMAPS["resnet50"]
    .config("separate_downsampling")
    .replace(
        depths=(1, 1), width=8, num_classes=0, in_channels=2, layer_scale=0.5, stochastic_depth=0.1
    )
)
RESNET = ModelConfig(depths=(1, 1), width=8, num_classes=5)


@pytest.mark.parametrize("form", formats.STAGES)
def test_every_stage_of_a_format_is_told(form, tmp_path):
    told = []
    network = filled(RESNET)
    save(form, network, tmp_path / f"a.{form}", {}, SIZE, lambda: told.append(form))
    assert len(told) == formats.STAGES[form]


def filled(config: ModelConfig) -> ModernResNet:
    return fill(ModernResNet(config)).eval()


def small(roadmap: Roadmap, step: str) -> ModelConfig:
    """The step's network with its own layers and kernel, an eighth of its width, two stages.

    A stage has two blocks where its first one has another shortcut: the first stage before the
    stage ratio changes, the second from there on, none once only strides need a convolution.
    """
    config = roadmap.config(step)
    if config.block == "inverted":
        depths = (1, 1)
    else:
        depths = (2, 1) if config.depths == roadmap.start.depths else (1, 2)
    return config.replace(depths=depths, width=config.width // 8, num_classes=5, init="kaiming")


def networks() -> dict[ModelConfig, tuple[str, str]]:
    """Every step of every roadmap; those that differ in their recipe or their start are one."""
    found: dict[ModelConfig, tuple[str, str]] = {}
    for roadmap in ROADMAPS.values():
        for key in roadmap.keys:
            found.setdefault(small(roadmap, key), (roadmap.name, key))
    return found


def test_a_step_that_changes_the_network_is_a_network_of_its_own():
    found = set(networks().values())
    for roadmap in ROADMAPS.values():
        for step in roadmap.steps:
            if set(step.config_changes) - {"init"}:
                assert (roadmap.name, step.key) in found


@pytest.mark.parametrize(
    ("config", "place"), [pytest.param(c, p, id=":".join(p)) for c, p in networks().items()]
)
def test_every_step_in_every_format(config, place, tmp_path, monkeypatch):
    """With weights that make every layer count, for one image and for three.

    The programs, which take seconds, are of one roadmap: the others' layers are the same, at other
    sizes.
    """
    network = filled(config)
    captured = functools.cache(program.captured)  # both programs are made of one graph
    monkeypatch.setattr(program, "captured", captured)
    monkeypatch.setattr(onnx_export, "captured", captured)
    for form in FORMS if place[0] == "resnet50" else ("py", "safetensors"):
        path = tmp_path / f"network.{form}"
        assert save(form, network, path, {}, SIZE) < 1e-5
        assert path.stat().st_size > 1000


def test_the_table_of_exports_at_full_size_has_every_step_in_every_format():
    rows = read_rows("measured/exports")
    found = [(row["roadmap"], row["step"], row["format"]) for row in rows]
    wanted = [
        (roadmap.name, step, form)
        for roadmap in ROADMAPS.values()
        if roadmap.changes_networks
        for step in roadmap.keys
        for form in FORMS
    ]
    other = sorted((Counter(found) - Counter(wanted)) + (Counter(wanted) - Counter(found)))
    assert not other, f"too few or too many rows of {other}: run `python benchmarks/exports.py`"
    worst = max(rows, key=lambda row: float(row["difference"]))
    assert 0 <= float(worst["difference"]) <= check.TOLERANCE, f"{worst}: is not the network"


FACTS = {"seed": 3, "class_names": ["a", "b"]}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with ``CONVNEXT`` as a.onnx and a.pt2."""
    folder = tmp_path_factory.mktemp("programs")
    for form in ("onnx", "pt2"):
        save(form, filled(CONVNEXT), folder / f"a.{form}", FACTS, SIZE)
    return folder


def test_programs_say_what_they_are_and_take_any_batch(programs):
    model = onnx.load(programs / "a.onnx")
    (images,), (features,) = model.graph.input, model.graph.output
    assert (images.name, features.name) == ("images", "features")
    batch, *rest = images.type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert [each.dim_value for each in rest] == [2, SIZE, SIZE]
    told = {entry.key: entry.value for entry in model.metadata_props}
    extra = dict.fromkeys(("config", *FACTS), "")
    loaded = torch.export.load(programs / "a.pt2", extra_files=extra)
    for said in (told, extra):
        assert ModelConfig.from_json(said["config"]) == CONVNEXT
        assert {name: json.loads(said[name]) for name in FACTS} == FACTS
    images = torch.randn(7, 2, SIZE, SIZE)
    torch.testing.assert_close(loaded.module()(images), filled(CONVNEXT)(images))


def test_programs_hold_no_paths_of_this_machine(programs):
    root = str(Path(__file__).parents[2]).encode()
    for form in ("onnx", "pt2"):
        assert root not in (programs / f"a.{form}").read_bytes()


def test_a_program_runs_where_there_is_nothing_of_ours(programs, tmp_path):
    images = torch.randn(3, 2, SIZE, SIZE)
    torch.save((images, filled(CONVNEXT)(images).detach()), tmp_path / "expected.pt")
    code = f"""
import sys
sys.modules |= dict.fromkeys(("models", "roadmap", "timm"))
import torch
images, expected = torch.load("expected.pt")
network = torch.export.load({str(programs / "a.pt2")!r}).module()
torch.testing.assert_close(network(images), expected)
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_a_program_with_an_operator_of_ours_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(depthwise_layer, "_convolved", depthwise_conv2d)
    with pytest.raises(ExportError, match=r"that PyTorch does not have: roadmap\.depthwise_conv2d"):
        save("pt2", filled(CONVNEXT), tmp_path / "a.pt2", {}, SIZE)
    assert not list(tmp_path.iterdir())


def other() -> ModernResNet:
    """``filled(CONVNEXT)``, but for one bias."""
    network = filled(CONVNEXT)
    with torch.no_grad():
        network.head.norm.bias[0] += 1
    return network


def break_py(patch, _programs):
    text = models.source.network_source(CONVNEXT).replace("GELU", "ReLU")
    patch.setattr(source, "network_source", lambda _config: text)


def break_safetensors(patch, _programs):
    patch.setattr(weights, "load", lambda _path: filled(CONVNEXT))


def break_onnx(patch, programs):
    content = (programs / "a.onnx").read_bytes()
    patch.setattr(onnx_export, "exported", lambda *_arguments: content)


def break_pt2(patch, programs):
    content = torch.export.load(programs / "a.pt2")
    patch.setattr(program, "captured", lambda *_arguments: content)


@pytest.mark.parametrize("broken", [break_py, break_safetensors, break_onnx, break_pt2])
def test_a_file_that_would_compute_something_else_is_not_written(
    broken, programs, tmp_path, monkeypatch
):
    form = broken.__name__.removeprefix("break_")
    path = tmp_path / f"network.{form}"
    path.write_text("what was there")
    broken(monkeypatch, programs)
    with pytest.raises(
        ExportError, match=r"outputs of the exported network differ|differs after reading"
    ):
        save(form, other(), path, {}, SIZE)
    assert path.read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 1


def test_outputs_that_are_no_numbers_are_no_match():
    network = filled(RESNET)

    def computed(images):
        return network(images) * (1.0 if len(images) == 1 else torch.nan)

    with pytest.raises(ExportError, match="outputs of the exported network differ"):
        check.difference(computed, network, SIZE)
    torch.nn.init.constant_(network.head.fc.weight, torch.inf)
    with pytest.raises(ExportError, match="network's outputs are not finite"):
        check.difference(network, network, SIZE)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("import numpy", "imports numpy, but may only need PyTorch"),
        ("class Head(nn.Module): pass", "other weights"),
    ],
)
def test_a_python_file_that_is_not_the_network_is_not_written(
    line, sentence, tmp_path, monkeypatch
):
    text = models.source.network_source(RESNET)
    if line.startswith("class"):
        text = text.replace("self.fc = nn.Linear", "self.classifier = self.fc = nn.Linear")
    monkeypatch.setattr(source, "network_source", lambda _config: f"{text}\n{line}\n")
    with pytest.raises(ExportError, match=sentence):
        save("py", filled(RESNET), tmp_path / "a.py", {}, SIZE)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "ONNX_PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ExportError, match="ONNX export needs no_such_package"):
        save("onnx", filled(RESNET), tmp_path / "network.onnx", {}, SIZE)


def test_a_seed_is_one_file_and_leaves_other_draws_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        save("safetensors", weights.initialized(RESNET, seed), tmp_path / name, {}, SIZE)
    assert torch.rand(1) == expected
    first, again, another = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again
    assert first != another
