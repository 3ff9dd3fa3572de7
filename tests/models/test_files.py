"""A weights file alone is the network, or one sentence."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import models
from models import VARIANTS, ModelConfig, ModernResNet
from models.files import WeightsFileError, read_weights, weights_content
from models.weights import export_state_dict

SMALL = ModelConfig(depths=(1, 2), width=8, num_classes=5, stochastic_depth=0.1, layer_scale=0.5)
TIMMS = VARIANTS["convnext_tiny"].replace(depths=(1, 1), width=8, num_classes=5)


def write(path, config, state_dict=None, **facts):
    state_dict = ModernResNet(config).state_dict() if state_dict is None else state_dict
    path.write_bytes(b"".join(weights_content(state_dict, config, **facts)))
    return path


def test_load_gives_back_the_network_and_draws_nothing(tmp_path):
    network = ModernResNet(SMALL)
    network(torch.randn(4, 3, 32, 32))  # running statistics of their own
    path = write(tmp_path / "a.safetensors", SMALL, network.state_dict())
    random_state = torch.get_rng_state()
    again = models.load(str(path))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert again.config == SMALL
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(again(images), network.eval()(images))


def test_a_file_of_anybodys_with_the_config_loads_too(tmp_path):
    """As the documentation says; and timm's keys under our config."""
    network = ModernResNet(TIMMS).eval()
    metadata = {"config": TIMMS.to_json(), "author": "somebody, 2026"}
    images = torch.randn(2, 3, 32, 32)
    for state in (network.state_dict(), export_state_dict(network.state_dict(), TIMMS, "timm")):
        save_file(state, tmp_path / "a.safetensors", metadata=metadata)
        assert torch.equal(models.load(tmp_path / "a.safetensors")(images), network(images))
    assert read_weights(tmp_path / "a.safetensors").facts == {"author": "somebody, 2026"}


def test_half_precision_loads_as_float32(tmp_path):
    network = ModernResNet(SMALL).half()
    again = models.load(write(tmp_path / "a", SMALL, network.state_dict()))
    assert {value.dtype for value in again.parameters()} == {torch.float32}
    assert torch.equal(again.head.fc.weight, network.head.fc.weight.float())


def test_equal_weights_are_equal_files_that_any_reader_opens(tmp_path):
    tensors = {"b": torch.randn(3, 5), "a": torch.arange(4)}
    for name in ("one", "two"):
        write(tmp_path / name, SMALL, tensors, step="x", recipe={"lr": 1}, more=[1, 2])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    loaded = load_file(tmp_path / "one")
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    again, config, facts = read_weights(tmp_path / "one")
    assert again.keys() == tensors.keys()
    assert (config, facts) == (SMALL, {"step": "x", "recipe": {"lr": 1}, "more": [1, 2]})


def test_what_holds_no_network_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"

    def refused(sentence):
        with pytest.raises(ValueError, match=sentence) as error:
            models.load(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    refused("does not exist; use a safetensors or torch.save file")
    path.mkdir()
    refused("use the file in it")
    path.rmdir()
    path.write_text("no tensors")
    refused("is not a safetensors file, or is damaged; use a safetensors or torch.save file")
    whole = write(path, SMALL).read_bytes()
    path.write_bytes(whole[:-100])
    refused("is not a safetensors file, or is damaged; use a safetensors or torch.save file")
    state = ModernResNet(SMALL).state_dict()
    save_file(state, path)
    refused(r"no config: .* ModernResNet\(config\)")
    write(path, SMALL.replace(width=16), state)
    refused("cannot be loaded: stem.conv.weight has shape")
    write(path, SMALL.replace(depths=(1, 3)), state)
    refused("are missing, the first")
    save_file(state, path, metadata={"config": json.dumps({**SMALL.to_dict(), "mixer": "fft"})})
    refused("this version of models cannot build: the config has no field 'mixer'")
    save_file(state, path, metadata={"config": "resnet"})
    refused("the config is not valid JSON")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"depths": ' * 50_000,
        f'{{"width": 1{"0" * 5000}}}',
        '{"width": 1e999}',
        '{"layer_scale": NaN}',
        '{"stochastic_depth": 1e400}',
        json.dumps({"depths": [10**4000] * 2}),
        json.dumps({"depths": [[3], "a"]}),
        json.dumps({"norm": ["batch"]}),
        json.dumps({"activation": {"relu": 1}}),
        json.dumps({"layer_scale": "x" * 1_000_000}),
        json.dumps({"x" * 1_000_000: 1}),
        '{"\\ud800": 1}',
        "null",
        "[]",
        "",
    ],
    ids=str.__len__,
)
def test_hostile_configs_are_one_short_sentence(tmp_path, text):
    save_file({"a": torch.ones(1)}, tmp_path / "a", metadata={"config": text})
    with pytest.raises(WeightsFileError) as error:
        models.load(tmp_path / "a")
    assert str(error.value).startswith(f"{tmp_path / 'a'} has a config that this version")
    assert len(str(error.value)) < 600
    str(error.value).encode()  # no lone surrogates


def test_facts_are_json_or_plain_text(tmp_path):
    texts = {"a": "[" * 100_000, "b": "1" * 10_000, "c": "NaN", "d": "[1, NaN]", "e": "[1]"}
    save_file({"x": torch.ones(1)}, tmp_path / "a", metadata={"config": SMALL.to_json(), **texts})
    assert read_weights(tmp_path / "a").facts == {**texts, "e": [1]}
    write(tmp_path / "b", SMALL, lr=float("nan"), more=(1, {"top1": float("-inf")}))
    assert read_weights(tmp_path / "b").facts == {"lr": None, "more": [1, {"top1": None}]}


def test_models_imports_no_torch_before_it_loads_and_never_its_compiler():
    code = """
import sys, models
assert "torch" not in sys.modules
import models.network
assert "torch._dynamo" not in sys.modules, "takes as long as importing torch"
models.load("nowhere")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = "use a safetensors or torch.save file (.pth, .pth.tar, .bin)"
    assert ran.stderr.strip().endswith(said)
