"""Networks of timm's registry and of torchvision as ONNX files."""

from __future__ import annotations

import onnx
import pytest
import torch
from torchvision import models

from models import ModernResNet
from roadmap.export import library
from roadmap.export.check import ExportError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def offline(monkeypatch):
    """Neither library can download weights."""

    def refused(*_args, **_more):
        raise OSError("no connection")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refused)
    built = library._built
    monkeypatch.setattr(
        library, "_built", lambda source, name, weights: (
            refused() if weights and source == "timm" else built(source, name, weights)
        ),
    )  # fmt: skip


def metadata(path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("source", "name", "weights", "size"),
    [
        ("timm", "test_efficientnet", "r160_in1k", 64),
        ("timm", "roadmap_resnet50_gelu", "", 64),
        ("torchvision", "squeezenet1_1", "IMAGENET1K_V1", 64),
    ],
)
def test_without_a_connection_the_file_has_random_weights_and_says_so(
    tmp_path, source, name, weights, size
):
    path = tmp_path / "network.onnx"
    found, trained = library.save_onnx(
        source=source, name=name, weights=weights, path=path, image_size=size
    )
    assert not trained
    assert found < 1e-4
    assert metadata(path) == {"source": source, "name": name, "weights": "random"}
    (images,) = onnx.load(path).graph.input
    dimensions = images.type.tensor_type.shape.dim
    assert dimensions[0].dim_param  # any number of images
    assert [each.dim_value for each in dimensions[1:]] == [3, size, size]


def test_trained_weights_are_used_if_they_can_be_loaded(tmp_path, monkeypatch):
    built = []

    def build(source: str, name: str, weights: str):
        built.append((source, name, weights))
        return models.get_model(name, weights=None)

    monkeypatch.setattr(library, "_built", build)
    path = tmp_path / "network.onnx"
    options = {"source": "torchvision", "name": "squeezenet1_1", "weights": "IMAGENET1K_V1"}
    _, trained = library.save_onnx(**options, path=path, image_size=64)
    assert trained
    assert built == [("torchvision", "squeezenet1_1", "IMAGENET1K_V1")]
    assert metadata(path)["weights"] == "IMAGENET1K_V1"


def test_a_network_whose_outputs_cannot_be_compared_leaves_no_file(tmp_path, monkeypatch):
    network = library._built("timm", "test_efficientnet", "")
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    monkeypatch.setattr(library, "_built", lambda *_: network)
    with pytest.raises(ExportError, match="not finite"):
        library.save_onnx(source="timm", name="a", weights="", path=tmp_path / "a.onnx",
                          image_size=64)  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_our_networks_come_from_timms_registry():
    network = library._built("timm", "roadmap_convnext_tiny", "")
    assert isinstance(network, ModernResNet)
