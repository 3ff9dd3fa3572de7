"""ONNX files compute what the network does, or are not written."""

from __future__ import annotations

import json

import onnx
import onnxruntime
import pytest
import torch

from models import ModelConfig
from roadmap.export import onnx as export
from roadmap.export.weights import initialised

CONVNEXT = ModelConfig(
    depths=(1, 1),
    width=8,
    stem="patchify",
    block="inverted",
    depthwise=True,
    depthwise_position="first",
    kernel_size=7,
    activation="gelu",
    activations_per_block=1,
    norm="layer",
    norms_per_block=1,
    downsampling="separate",
    layer_scale=0.5,
    stochastic_depth=0.1,
    num_classes=0,
    in_channels=2,
)
RESNET = ModelConfig(depths=(1, 1), width=8, num_classes=5)


@pytest.mark.parametrize(
    ("config", "output"), [(RESNET, "logits"), (CONVNEXT, "features")], ids=["resnet", "convnext"]
)
def test_outputs_are_the_networks_for_any_batch(config, output, tmp_path):
    path = tmp_path / "network.onnx"
    assert export.save_onnx(config, path, seed=1, image_size=32) <= export.TOLERANCE
    images = torch.randn(3, config.in_channels, 32, 32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_outputs()] == [output]
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        wanted = initialised(config, 1)(images)
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-3, atol=1e-4)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert ModelConfig.from_json(metadata["config"]) == config
    assert json.loads(metadata["seed"]) == 1


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    exported = export._exported
    other = initialised(RESNET, 2)
    monkeypatch.setattr(
        export, "_exported", lambda _network, images, seed: exported(other, images, seed)
    )
    with pytest.raises(export.ExportError, match="computes something else"):
        export.save_onnx(RESNET, tmp_path / "network.onnx", seed=1, image_size=32)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(export.ExportError, match="no_such_package, not installed here"):
        export.save_onnx(RESNET, tmp_path / "network.onnx")
