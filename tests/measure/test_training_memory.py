"""The count of kept tensors against those that autograd really saves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from strategies import configs

from models import VARIANTS, ModelConfig, ModernResNet
from roadmap.measure.complexity import count
from roadmap.measure.training_memory import training_memory
from roadmap.steps import ROADMAPS

IMAGES = 2


def saved_by_autograd(config: ModelConfig, image_size: int) -> int:
    """Bytes in activations that the backward pass of a batch of two holds, each storage once."""
    network = ModernResNet(config.replace(stochastic_depth=0.0)).train()
    network = network.to(memory_format=torch.channels_last)
    images = torch.randn(IMAGES, config.in_channels, image_size, image_size)
    images = images.to(memory_format=torch.channels_last)
    known = {tensor.untyped_storage().data_ptr() for tensor in network.parameters()}
    known |= {tensor.untyped_storage().data_ptr() for tensor in network.buffers()}
    held: dict[int, torch.UntypedStorage] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known and tensor.ndim > 1:
            held[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = network(images)
    del output
    return sum(storage.nbytes() for storage in held.values())


STEPS = [("resnet50", key) for key in ROADMAPS["resnet50"].keys]


@pytest.mark.parametrize(("roadmap", "key"), STEPS, ids=[key for _, key in STEPS])
def test_each_step_keeps_what_autograd_saves(roadmap, key):
    config = ROADMAPS[roadmap].config(key).replace(width=8, depths=(1, 2))
    assert IMAGES * training_memory(config, 32).saved == saved_by_autograd(config, 32)


@settings(max_examples=15)
@given(configs())
def test_so_does_any_config(config):
    assert IMAGES * training_memory(config, 32).saved == saved_by_autograd(config, 32)


def test_state_is_four_floats_a_parameter():
    config = VARIANTS["convnext_tiny"]
    memory = training_memory(config)
    assert memory.state == 16 * count(config).parameters
    assert memory.batch(3) == memory.state + 3 * memory.saved


def test_an_image_too_small_is_refused():
    with pytest.raises(ValueError, match="too small"):
        training_memory(ModelConfig(stem="patchify"), 3)
