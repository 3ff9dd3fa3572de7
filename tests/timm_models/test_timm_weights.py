"""Weights of timm's hub through its ``create_model``, from files in the hub's format."""

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import _builder as timm_builder
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, is_model_pretrained
from torch import nn

from models import VARIANTS, ConfigError, ModelConfig
from models.variants import TIMM_NAMES
from models.weights import convert_state_dict, export_state_dict
from roadmap.timm_models.weights import WeightsError

#: A step with weights, timm's name of its network, and arguments that make every layer count.
TWINS = [
    ("roadmap_resnet50_baseline", "resnet50", {"zero_init_last": False}),
    ("roadmap_resnet50_separate_downsampling", "convnext_tiny", {"ls_init_value": 1.0}),
]
#: One of the hub's networks, made small.
SMALL = {"model_name": "roadmap_convnext_tiny.fb_in1k", "depths": [1], "width": 8}


@pytest.fixture(scope="module", params=TWINS, ids=[name for name, *_ in TWINS])
def twin(request, tmp_path_factory) -> tuple[str, str, Path]:
    """Our name, timm's, and a file of timm's network as the hub has it."""
    ours, theirs, arguments = request.param
    torch.manual_seed(0)
    network = timm.create_model(theirs, **arguments)
    file = tmp_path_factory.mktemp("hub") / "model.safetensors"
    save_file(network.state_dict(), file)
    return ours, theirs, file


def logits(network: nn.Module, channels: int = 3) -> torch.Tensor:
    images = torch.randn(1, channels, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network.eval()(images)


def assert_same(ours: nn.Module, theirs: nn.Module, channels: int = 3) -> None:
    expected = logits(theirs, channels)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits(ours, channels), expected, rtol=1e-3, atol=1e-4)


def test_pretrained_asks_timms_hub_and_converts(twin, monkeypatch):
    ours, theirs, file = twin
    asked = []

    def download(name, **_):
        asked.append(name)
        return timm.models.load_state_dict(str(file))

    monkeypatch.setattr(timm_builder, "load_state_dict_from_hf", download)
    tag = get_arch_pretrained_cfgs(theirs).popitem()[1].tag
    networks = [timm.create_model(name, pretrained=True) for name in (ours, theirs)]
    assert_same(*networks)
    assert networks[0].pretrained_cfg["tag"] == networks[1].pretrained_cfg["tag"]
    timm.create_model(f"{ours}.{tag}", pretrained=True, num_classes=0)
    default = get_pretrained_cfg(theirs).hf_hub_id
    assert asked == [default, default, f"timm/{theirs}.{tag}"]


def test_a_local_file_adapts_to_channels_and_classes_as_in_timm(twin):
    ours, theirs, file = twin
    networks = [
        timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(file)},
            in_chans=1,
            num_classes=0,
        )
        for name in (ours, theirs)
    ]
    assert_same(*networks, channels=1)
    network = timm.create_model(
        ours, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, num_classes=7
    )
    assert logits(network).shape == (1, 7)
    features = timm.create_model(
        ours, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, features_only=True
    )
    network.reset_classifier(0, "")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        last = features.eval()(images)[-1]
        torch.testing.assert_close(last, network.forward_features(images))


def test_weights_of_another_network_are_refused(twin):
    ours, _, file = twin
    with pytest.raises(WeightsError, match="these weights do not fit the config"):
        timm.create_model(
            ours, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, depths=[3, 3, 3, 3]
        )


def test_our_own_weights_load_into_any_step(tmp_path):
    name, fields = "roadmap_resnet200_gelu", {"depths": [1, 1], "width": 8}
    network = timm.create_model(name, num_classes=5, **fields)
    file = tmp_path / "ours.safetensors"
    save_file(network.state_dict(), file)
    overlay = {"file": str(file), "num_classes": 5}
    loaded = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **fields)
    torch.testing.assert_close(logits(loaded), logits(network))
    loaded = timm.create_model(name, checkpoint_path=str(file), num_classes=5, **fields)
    torch.testing.assert_close(logits(loaded), logits(network))


def test_a_shared_network_comes_back(tmp_path):
    fields = {"depths": [1, 1], "width": 8}
    network = timm.create_model("roadmap_resnet50_kernel_7", num_classes=5, **fields)
    timm.models.save_for_hf(network, tmp_path, model_args=fields)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    torch.testing.assert_close(logits(loaded), logits(network))


def with_text(state_dict: dict, _: ModelConfig) -> dict:
    """As OpenCLIP saves a network whose picture half is timm's."""
    head = {"visual.head.proj.weight": state_dict["head.fc.weight"], "logit_scale": torch.ones(())}
    trunk = {f"visual.trunk.{k}": v for k, v in state_dict.items() if "head.fc" not in k}
    return trunk | head | {"transformer.resblocks.0.mlp.c_fc.weight": torch.ones(2, 2)}


def with_projectors(state_dict: dict, config: ModelConfig) -> dict:
    """As EUPE saves a ConvNeXt, with what it learned by."""
    official = export_state_dict(convert_state_dict(state_dict, config), config, "official")
    return official | {"projectors.a.0.weight": torch.ones(2, 2), "norms.0.weight": torch.ones(2)}


def without_norm(state_dict: dict, config: ModelConfig) -> dict:
    """As ConvNeXt V2's masked autoencoder is published: of the head there is nothing."""
    official = export_state_dict(convert_state_dict(state_dict, config), config, "official")
    return {key: value for key, value in official.items() if not key.startswith("norm.")}


@pytest.mark.parametrize(
    ("tagged", "saved"),
    [
        ("convnext_base.clip_laion2b", with_text),
        ("convnext_tiny.eupe_lvd1689m", with_projectors),
        ("convnextv2_tiny.fcmae", without_norm),
    ],
)
def test_what_timm_alone_reads_loads_here_too(tmp_path, tagged, saved):
    if tagged not in timm.list_models(include_tags=True):
        pytest.skip(f"this timm has no {tagged}")
    theirs = timm.models.ConvNeXt(
        num_classes=get_pretrained_cfg(tagged).num_classes,
        depths=(1, 1, 2, 1),
        dims=(8, 16, 32, 64),
        use_grn="v2" in tagged,
        ls_init_value=None if "v2" in tagged else 1.0,
    )
    for key, parameter in theirs.named_parameters():
        if "norm" not in key and key != "head.fc.bias":
            nn.init.normal_(parameter, std=0.3)
    fields = {"depths": [1, 1, 2, 1], "width": 8}
    config = timm.create_model(f"roadmap_{tagged}", **fields).config
    file = tmp_path / "weights.safetensors"
    save_file(saved(theirs.state_dict(), config), file)
    ours = timm.create_model(
        f"roadmap_{tagged}", pretrained=True, pretrained_cfg_overlay={"file": str(file)}, **fields
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sizes_have_timms_weights_and_data_config(variant):
    name, twin = f"roadmap_{variant}", TIMM_NAMES[variant]
    assert is_model_pretrained(name) == is_model_pretrained(twin)
    ours, theirs = get_arch_pretrained_cfgs(name), get_arch_pretrained_cfgs(twin)
    assert list(ours) == [tagged.replace(twin, name) for tagged in theirs]
    layers = {"architecture": name, "first_conv": "stem.conv", "classifier": "head.fc"}
    for cfg, expected in zip(ours.values(), theirs.values(), strict=True):
        assert cfg == dataclasses.replace(expected, **layers)
    assert get_pretrained_cfg(name).tag == get_pretrained_cfg(twin).tag


def test_the_filter_for_pretrained_finds_first_and_last_steps():
    found = {name.split(".")[0] for name in timm.list_models("roadmap_*", pretrained=True)}
    assert found >= {
        "roadmap_resnet50_baseline",
        "roadmap_resnet50_separate_downsampling",
        "roadmap_resnet200_separate_downsampling",
    }
    assert not found & {"roadmap_resnet200_baseline", "roadmap_resnet50_kernel_7"}


def test_a_step_without_weights_names_those_that_have():
    with pytest.raises(WeightsError) as raised:
        timm.create_model("roadmap_resnet50_kernel_7", pretrained=True)
    sentence = str(raised.value)
    assert sentence.startswith("roadmap_resnet50_kernel_7 has no pretrained weights: ")
    assert "roadmap_resnet50_separate_downsampling" in sentence
    assert "roadmap_resnet200," not in sentence


def test_without_network_one_sentence_names_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"timm/convnext_tiny.fb_in1k could not be") as raised:
        timm.create_model("roadmap_convnext_tiny.fb_in1k", pretrained=True, cache_dir=tmp_path)
    assert raised.value.__suppress_context__
    assert "pretrained_cfg_overlay=dict(file=...)" in str(raised.value)


def test_a_file_that_is_not_there_is_named():
    overlay = {"file": "missing.safetensors"}
    with pytest.raises(WeightsError, match=r"missing.safetensors does not exist"):
        timm.create_model("roadmap_resnet50", pretrained=True, pretrained_cfg_overlay=overlay)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"<!DOCTYPE html>", b"\x80\x02K\x01."])
def test_a_damaged_file_is_named(tmp_path, suffix, content):
    file = tmp_path / f"bad.{suffix}"
    file.write_bytes(content)
    overlay = {"file": str(file)}
    with pytest.raises(WeightsError, match=rf"bad.{suffix} cannot be read \(.*save or copy it"):
        timm.create_model(**SMALL, pretrained=True, pretrained_cfg_overlay=overlay)


def test_a_wrong_argument_is_not_laid_on_the_weights(tmp_path):
    file = tmp_path / "ours.safetensors"
    save_file(timm.create_model(**SMALL).state_dict(), file)
    options = SMALL | {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
    with pytest.raises(IndexError):  # timm's own
        timm.create_model(**options, features_only=True, out_indices=(7,))
    with pytest.raises(ConfigError, match="global_pool"):
        timm.create_model(**options, global_pool="most")


def use_hub(monkeypatch, port: int) -> None:
    endpoint = f"http://127.0.0.1:{port}"
    template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
    template = template.replace(huggingface_hub.constants.ENDPOINT, endpoint)
    for module in (huggingface_hub.constants, huggingface_hub.file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)


@pytest.fixture
def no_hub(monkeypatch) -> None:
    """A hub whose port refuses every connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        use_hub(monkeypatch, free.getsockname()[1])
        yield


@pytest.mark.usefixtures("no_hub")
def test_without_network_the_sentence_comes_at_once(tmp_path, monkeypatch):
    pauses = []  # of the hub's client, which tries again for a minute
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(WeightsError, match="could not be downloaded: check the connection"):
        timm.create_model(**SMALL, pretrained=True, cache_dir=tmp_path)
    assert pauses == []
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


@pytest.mark.usefixtures("no_hub")
def test_without_network_what_is_in_the_hubs_cache_loads(tmp_path):
    network = timm.create_model(**SMALL)
    folder, commit = tmp_path / "models--timm--convnext_tiny.fb_in1k", "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    save_file(network.state_dict(), folder / "snapshots" / commit / "model.safetensors")
    loaded = timm.create_model(**SMALL, pretrained=True, cache_dir=tmp_path)
    torch.testing.assert_close(logits(loaded), logits(network))


@pytest.fixture
def answers(monkeypatch) -> Iterator[list]:
    """A mirror of the hub, without a front page, that gives every file the status and the reason
    in the list."""
    answer = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            status, reason = answer if self.path != "/" else (404, "")
            self.send_response(status)
            self.send_header("X-Error-Code", reason)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        use_hub(monkeypatch, server.server_port)
        yield answer
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "reason", "help_"),
    [
        (401, "", "log in to the hub"),
        (403, "GatedRepo", "request access"),
        (404, "RepoNotFound", "check the name"),
        (503, "", "try again later"),
    ],
)
def test_a_refusal_of_the_hub_is_said(tmp_path, monkeypatch, answers, status, reason, help_):
    answers[:] = status, reason
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between what the hub's client tries
    sentence = rf"timm/convnext_tiny.fb_in1k could not .*HTTP status {status}\): .*{help_}.*file="
    with pytest.raises(WeightsError, match=sentence):
        timm.create_model(**SMALL, pretrained=True, cache_dir=tmp_path)
