"""Throughput on the CPU, at tiny sizes; what is timed is checked, never how long it takes."""

import csv
import json
import math

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from models import ModernResNet
from roadmap import ROADMAPS
from roadmap.cli import app
from roadmap.device import DeviceError
from roadmap.measure import throughput_table as table
from roadmap.measure.networks import UnknownNetworkError
from roadmap.measure.throughput import (
    WARM_UP,
    MeasureError,
    Measurement,
    Setting,
    _disable_stochastic_depth,
    measure,
)
from roadmap.tables import results

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"batch_size": 2, "image_size": 32}
COLUMNS = [
    "source",
    "name",
    "mode",
    "device",
    "device_name",
    "dtype",
    "channels_last",
    "compiled",
    "batch_size",
    "image_size",
    "repetitions",
    "images_per_s",
    "images_per_s_p10",
    "images_per_s_p90",
    "peak_memory_gb",
    "torch",
    "timm",
    "torchvision",
    "python",
    "date",
    "cuda",
    "batch_size_asked",
    "depthwise",
]


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """An empty results folder."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    return tmp_path / "measured"


def small_network() -> nn.Module:
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4, 1000))


class Fits(nn.Module):
    """Runs with ``most`` images; raises ``error`` with more, as a device that is full."""

    def __init__(self, most: int, error: Exception):
        super().__init__()
        self.most, self.error, self.network = most, error, small_network()
        self.batches: list[int] = []

    def forward(self, x):
        self.batches.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.network(x)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def measurement(name="resnet50:kernel_7", rate=100.0, asked=8, batch=8, **setting) -> Measurement:
    return Measurement(
        name,
        Setting(batch_size=asked, **setting),
        batch,
        (batch / rate,) * 10,
        None,
        "torch",
        "A CPU, 2 cores",
    )


@pytest.mark.parametrize(
    "name", ["resnet50:depthwise_conv", "timm:resnet10t", "torchvision:squeezenet1_1"]
)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_network_is_measured(name, mode):
    measured = measure(name, Setting(mode=mode, repetitions=11, **TINY))
    low, median, high = measured.rates
    assert 0 < low <= median <= high < math.inf
    assert len(measured.seconds) == 11
    assert measured.batch_size == 2
    assert measured.note is None
    assert measured.device_name


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_half_precision_computes_in_half_precision(dtype, mode):
    network, seen = small_network(), []
    network[0].register_forward_hook(lambda _module, _inputs, out: seen.append(out.dtype))
    measure(lambda: network, Setting(mode=mode, dtype=dtype, **TINY))
    assert set(seen) == {{"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]}


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_layout_is_the_one_asked_for(channels_last):
    network, seen = small_network(), []
    network[0].register_forward_hook(
        lambda _module, _inputs, out: seen.append(
            out.is_contiguous(memory_format=torch.channels_last)
        )
    )
    measure(lambda: network, Setting(channels_last=channels_last, **TINY))
    assert set(seen) == {channels_last}


def test_rates_are_the_median_and_the_tenths():
    seconds = tuple(2 / rate for rate in (10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110))
    measured = Measurement("network", Setting(batch_size=2), 2, seconds, None, "torch", "")
    assert measured.rates == pytest.approx((20, 60, 100))


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_training_changes_every_weight_and_inference_none(mode):
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measure(lambda: network, Setting(mode=mode, **TINY))
    changed = {
        name: not torch.equal(value, before[name]) for name, value in network.state_dict().items()
    }
    assert set(changed.values()) == {mode == "training"}


def test_stochastic_depth_is_off_in_every_library():
    import timm
    from torchvision.models import convnext_tiny

    for network in (timm.create_model("swin_tiny_patch4_window7_224"), convnext_tiny()):
        _disable_stochastic_depth(network)
        rates = [
            getattr(module, "p", getattr(module, "drop_prob", None))
            for module in network.modules()
            if type(module).__name__ in ("StochasticDepth", "DropPath")
        ]
        assert rates
        assert set(rates) == {0.0}


@pytest.mark.parametrize(
    "error",
    [
        OUT_OF_MEMORY,
        RuntimeError("MPS backend out of memory (MPS allocated: 9.07 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_the_batch_halves_until_it_fits(error):
    network = Fits(most=3, error=error)
    measured = measure(lambda: network, Setting(batch_size=10, image_size=32))
    assert measured.batch_size == 2
    assert network.batches == [10, 5] + [2] * (WARM_UP + 10)
    assert "memory ran out at batch size 10; measured at 2." in measured.note


def test_one_image_too_many_is_one_sentence():
    with pytest.raises(MeasureError, match="not even one image of 32 x 32 pixels fits"):
        measure(lambda: Fits(0, OUT_OF_MEMORY), Setting(**TINY))


def test_a_network_that_does_not_run_is_one_sentence():
    error = RuntimeError("the sizes do not match\nand more\n  of it")
    with pytest.raises(MeasureError, match=r"does not run.* 32 x 32 .*the sizes do not match$"):
        measure(lambda: Fits(0, error), Setting(**TINY))


def test_batch_norm_of_one_value_is_one_sentence():
    setting = Setting(**TINY | {"mode": "training", "batch_size": 1})
    config = ROADMAPS["resnet50"].config("baseline", depths=(1, 1, 1, 1), width=8)
    with pytest.raises(MeasureError, match=r"does not run in training .*more than 1 value per"):
        measure(lambda: ModernResNet(config), setting)


def test_progress_counts_every_run_and_may_cancel():
    calls = []
    measure(small_network, Setting(**TINY), lambda *progress: calls.append(progress))
    assert calls == [(done + 1, WARM_UP + 10) for done in range(WARM_UP + 10)]

    class CancelledError(Exception):
        pass

    def cancel(done, _total):
        if done == 2:
            raise CancelledError

    network = Fits(99, OUT_OF_MEMORY)
    with pytest.raises(CancelledError):
        measure(lambda: network, Setting(**TINY), cancel)
    assert len(network.batches) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("mode", "train"), ("device", "gpu"), ("dtype", "int8"), ("batch_size", 0)],
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(MeasureError, match=f"{field} is {value!r}; use"):
        Setting(**{field: value})


def test_fewer_than_ten_repetitions_are_refused():
    with pytest.raises(MeasureError, match="repetitions is 9; use 10 or more"):
        Setting(repetitions=9)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet50:kernl_7", "kernel_7"),
        ("timm:convnext_tinny", "convnext_tiny"),
        ("torchvision:resnt50", "resnet50"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(UnknownNetworkError, match=f"Did you mean '{nearest}'"):
        measure(name, Setting(**TINY))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_absent_device_is_named():
    with pytest.raises(DeviceError, match="no cuda device; use"):
        measure(small_network, Setting(device="cuda"))


def test_the_table_keeps_other_rows_and_replaces_the_same_one(tables):
    first = measurement(rate=100.0)
    others = [
        measurement(mode="training"),
        measurement(dtype="bf16"),
        measurement(channels_last=False),
        measurement(compiled=True),
        measurement(image_size=64),
        measurement(asked=16, batch=8),
        measurement("timm:convnext_tiny"),
    ]
    table.save(map(table.row, [first, *others]))
    table.save([table.row(measurement(rate=250.0))])
    with (tables / "throughput.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [float(row["images_per_s"]) for row in rows] == [250.0] + [100.0] * len(others)
    assert rows[6]["batch_size"] == "8"
    assert rows[0]["peak_memory_gb"] == ""
    assert [path.name for path in tables.iterdir()] == ["throughput.csv"]


def test_a_table_that_cannot_be_written_leaves_the_old_one(tables, monkeypatch):
    table.save([table.row(measurement())])
    before = (tables / "throughput.csv").read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", full)
    with pytest.raises(OSError, match="No space"):
        table.save([table.row(measurement(rate=250.0))])
    assert (tables / "throughput.csv").read_bytes() == before
    assert [path.name for path in tables.iterdir()] == ["throughput.csv"]


def run(*arguments: str):
    return CliRunner().invoke(app, ["benchmark", "--device", "cpu", *arguments])


def test_the_command_prints_only_the_data_and_saves_it(tables):
    arguments = ["--model", "timm:resnet10t", "--model", "torchvision:squeezenet1_1"]
    sizes = ["--batch-size", "1", "--image-size", "32", "--mode", "inference"]
    result = run(*arguments, *sizes, "--save", "--format", "json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [(row["source"], row["name"]) for row in rows] == [
        ("timm", "resnet10t"),
        ("torchvision", "squeezenet1_1"),
    ]
    assert list(rows[0]) == COLUMNS
    with (tables / "throughput.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["resnet10t", "squeezenet1_1"]


def test_the_table_has_ratios_to_the_first_network():
    sizes = ["--batch-size", "1", "--image-size", "32", "--mode", "inference"]
    result = run("--model", "timm:resnet10t", *sizes)
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if "resnet10t" in line)
    assert "1.00" in row.split()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--step", "kernl_7"], "Did you mean 'kernel_7'"),
        (["--roadmap", "resnet5"], "Did you mean 'resnet50'"),
        (["--model", "convnext_tiny"], "Use SOURCE:NAME"),
        (["--model", "timm:swin_tiny_patch4_window7_224", "--image-size", "64"], "does not run"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_code_2(arguments, sentence):
    result = run(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
