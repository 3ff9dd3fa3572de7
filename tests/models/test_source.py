"""The exported file is the network: same weights from the same seed, same logits, torch alone."""

import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from each_once import STEPS, each_once
from hypothesis import given, settings
from strategies import configs
from torch import nn

from models import VARIANTS, ModelConfig, ModernResNet
from models.source import network_source
from roadmap import ROADMAPS

pytestmark = pytest.mark.usefixtures("one_thread")


def exported(config: ModelConfig) -> nn.Module:
    names = {"__name__": "exported"}
    exec(compile(network_source(config), "network.py", "exec"), names)
    return names["Network"]()


def assert_same_outputs(networks: Sequence[nn.Module], in_channels: int, size: int) -> None:
    dtype = next(networks[0].parameters()).dtype
    images = torch.randn(2, in_channels, size, size, dtype=dtype)
    with torch.no_grad():
        for mode in (True, False):  # training first, so that running statistics count after
            outputs = []
            for network in networks:
                torch.manual_seed(1)  # of stochastic depth
                outputs.append(network.train(mode)(images))
            torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-6)


def assert_same_network(config: ModelConfig, size: int) -> None:
    """In double precision: a strided 1x1 convolution may be computed in another order."""
    networks = []
    for build in (ModernResNet, exported):
        torch.manual_seed(0)
        networks.append(build(config).double())
    expected, found = (network.state_dict() for network in networks)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert_same_outputs(networks, in_channels=config.in_channels, size=size)


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    """Enough for the largest layer: all parameters are views of it, which costs no time."""
    return 0.02 * torch.randn(12_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("config", each_once(STEPS.items()))
def test_every_step_in_full(config, noise):
    """Same keys and shapes, which strict loading checks, and the same logits."""
    with torch.device("meta"):
        networks = ModernResNet(config), exported(config)
    for network in networks:
        state = {name: torch.ones(v.shape, dtype=v.dtype) for name, v in network.named_buffers()}
        for name, parameter in networks[0].named_parameters():
            state[name] = noise[: parameter.numel()].view(parameter.shape)
        network.load_state_dict(state, assign=True)
    assert_same_outputs(networks, in_channels=3, size=64)


@pytest.mark.parametrize("name", ["resnet50", "resnext50", "convnext_tiny"])
def test_variants(name):
    assert_same_network(VARIANTS[name].replace(width=16, stochastic_depth=0.2), size=64)


@settings(max_examples=50)
@given(configs())
def test_any_valid_config(config):
    assert_same_network(config, size=32)


def test_the_file_runs_where_there_is_nothing_of_ours(tmp_path):
    config = ROADMAPS["resnet50"].config("separate_downsampling")
    file = tmp_path / "network.py"
    file.write_text(network_source(config))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-P" if sys.version_info >= (3, 11) else "-B", file],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    parameters = sum(value.numel() for value in ModernResNet(config).parameters())
    assert ran.stdout == f"output (1, 1000), {parameters:,} parameters\n"


def test_it_imports_torch_alone():
    lines = network_source(VARIANTS["convnext_tiny"]).splitlines()
    imports = [line for line in lines if line.startswith(("import", "from"))]
    assert {line.split()[1].split(".")[0] for line in imports} == {"collections", "torch"}


def test_it_has_only_the_classes_that_it_needs():
    source = network_source(ModelConfig())
    assert [line for line in source.splitlines() if line.startswith("class")] == [
        f"class {name}(nn.Module):" for name in ("Block", "Stage", "Head", "Network")
    ]
    assert "class LayerScale" in network_source(VARIANTS["convnext_tiny"])
    assert "class DropPath" in network_source(ModelConfig(stochastic_depth=0.1))


def test_it_is_formatted_and_without_lint(tmp_path):
    ruff = shutil.which("ruff", path=f"{sys.prefix}/bin")
    if ruff is None:
        pytest.skip("ruff is not installed")
    small = [
        ModelConfig(depths=(1,), width=2, stem="patchify", num_classes=0),
        ModelConfig(depths=(1, 2), width=2, group_width=3, stochastic_depth=0.1, norm="layer"),
        ModelConfig(depths=(2, 1), block="inverted", kernel_size=1, width=1, in_channels=1),
    ]
    steps = [ROADMAPS["resnet50"].config(key) for key in ROADMAPS["resnet50"].keys]
    for number, config in enumerate(small + steps):
        (tmp_path / f"network{number}.py").write_text(network_source(config))
    options = ["--isolated", "--line-length", "100", "--no-cache", str(tmp_path)]
    subprocess.run([ruff, "format", "--diff", *options], check=True)
    subprocess.run(
        [ruff, "check", "--select", "E,F,W,I,B,C4,N,SIM", "--ignore", "N812", *options], check=True
    )
