"""Weights in a file are those of the seed, with the config they belong to."""

from __future__ import annotations

import torch

from models import ModelConfig, ModernResNet
from roadmap.export.weights import save_safetensors
from roadmap.train.weights_file import load_weights

SMALL = ModelConfig(depths=(1, 1), width=8, num_classes=5, layer_scale=0.5)


def test_the_file_holds_weights_config_and_seed(tmp_path):
    save_safetensors(SMALL, tmp_path / "a.safetensors", seed=3)
    tensors, config, facts = load_weights(tmp_path / "a.safetensors")
    assert (config, facts) == (SMALL, {"seed": 3})
    ModernResNet(config).load_state_dict(tensors)


def test_a_seed_is_one_file_and_leaves_other_draws_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        save_safetensors(SMALL, tmp_path / name, seed)
    assert torch.rand(1) == expected
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again
    assert first != other
