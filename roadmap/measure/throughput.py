"""Images per second and peak memory of a network, in inference and in training.

Inputs are random and stay on the device, so that no data loading is measured. Stochastic depth is
off: it belongs to a training recipe, and libraries set different rates by default.
"""

from __future__ import annotations

import itertools
import platform
import statistics
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.depthwise import depthwise_used
from models.text import said
from roadmap.measure import networks
from roadmap.measure.peak_memory import PeakMemory, release

Mode = Literal["inference", "training"]
Device = Literal["cpu", "cuda", "mps"]
DType = Literal["float32", "bf16", "fp16"]

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
CHOICES = {"mode": get_args(Mode), "device": get_args(Device), "dtype": get_args(DType)}
#: Untimed runs first: compilation, the choice of algorithms, the growth of memory pools.
WARM_UP = 5
MIN_REPETITIONS = 10
NUM_CLASSES = 1000

#: Called with how many runs of how many are done, the warm-up among them. May raise to cancel.
OnProgress = Callable[[int, int], None]


class MeasureError(ValueError):
    """Something that cannot be measured; the sentence says what and why."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How to measure. Raises ``MeasureError`` for a value that makes no sense.

    ``image_size`` is the side of a square image in pixels, ``in_channels`` what the network takes,
    ``repetitions`` the timed runs.
    """

    mode: Mode = "inference"
    device: Device = "cpu"
    dtype: DType = "float32"
    channels_last: bool = True
    compiled: bool = False
    batch_size: int = 8
    image_size: int = 224
    in_channels: int = 3
    repetitions: int = MIN_REPETITIONS

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise MeasureError(
                    f"{name} is {said(getattr(self, name))}; use {' or '.join(map(repr, choices))}"
                )
        bounds = {"batch_size": 1, "image_size": 1, "in_channels": 1}
        for name, least in {**bounds, "repetitions": MIN_REPETITIONS}.items():
            if getattr(self, name) < least:
                raise MeasureError(f"{name} is {getattr(self, name)}; use {least} or more")


@dataclass(frozen=True)
class Measurement:
    """What was measured: ``seconds`` of each repetition at ``batch_size``, which is smaller than
    the setting's where memory ran out; ``peak_memory_gb`` in 1e9 bytes, None where unknown;
    ``depthwise`` whose kernels its depthwise convolutions ran on: ``own`` or ``torch``."""

    model: str
    setting: Setting
    batch_size: int
    seconds: tuple[float, ...]
    peak_memory_gb: float | None
    depthwise: str
    device_name: str

    @property
    def rates(self) -> tuple[float, float, float]:
        """Images per second: 10th percentile, median and 90th percentile."""
        rates = [self.batch_size / seconds for seconds in self.seconds]
        tenths = statistics.quantiles(rates, n=10, method="inclusive")
        return tenths[0], tenths[4], tenths[8]

    @property
    def note(self) -> str | None:
        """A sentence where the batch had to shrink."""
        if self.batch_size == self.setting.batch_size:
            return None
        return (
            f"{self.model}, {self.setting.mode}: memory ran out at batch size "
            f"{self.setting.batch_size}; measured at {self.batch_size}."
        )


def measure(
    model: str | Callable[[], nn.Module], setting: Setting, on_progress: OnProgress | None = None
) -> Measurement:
    """Time a network: its name (``timm:convnext_tiny``) or a function that builds it.

    Where memory runs out the batch is halved, down to one image. Raises ``UnknownNetworkError``
    for a wrong name, ``MeasureError`` for a network that does not run in this setting, and
    whatever ``on_progress`` raises; the memory is given back either way.
    """
    name = model if isinstance(model, str) else getattr(model, "__name__", "network")
    device = checked_device(setting.device)
    batch_size = setting.batch_size
    while batch_size:
        timed = _attempt(model, name, setting, batch_size, on_progress)
        if timed:
            return Measurement(name, setting, batch_size, *timed, device_name(device))
        batch_size //= 2
    raise MeasureError(
        f"{name}, {setting.mode}: not even one image of {setting.image_size} x "
        f"{setting.image_size} pixels fits into the memory of {device_name(device)}."
    )


def best_device() -> Device:
    """The fastest kind of device this machine has."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checked_device(kind: str) -> torch.device:
    """Raises ``MeasureError`` for a device this machine does not have."""
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if kind in available and not available[kind]():
        raise MeasureError(f"This machine has no {kind} device; use {best_device()!r}.")
    return torch.device(kind)


def device_name(device: torch.device) -> str:
    """The hardware's own name; for a CPU also the number of cores that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = torch.get_num_threads()
    chip = _processor()
    return chip if device.type == "mps" else f"{chip}, {cores} core{'s' * (cores != 1)}"


def _processor() -> str:
    if platform.system() == "Darwin":
        query = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _attempt(
    model: str | Callable[[], nn.Module],
    name: str,
    setting: Setting,
    batch_size: int,
    on_progress: OnProgress | None,
) -> tuple[tuple[float, ...], float | None, str] | None:
    """Seconds, peak memory and depthwise kernels at ``batch_size``; None where memory ran out."""
    device = torch.device(setting.device)
    try:
        return _measured(model, setting, batch_size, on_progress or (lambda _done, _total: None))
    except networks.UnknownNetworkError:
        raise
    # A ``ValueError`` is torch's where batch norm gets a single value per channel.
    except (RuntimeError, ValueError, AssertionError, MemoryError) as error:
        traceback.clear_frames(error.__traceback__)
        if _out_of_memory(error):
            return None
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise MeasureError(
            f"{name} does not run in {setting.mode} at {setting.image_size} x "
            f"{setting.image_size} pixels in {setting.dtype} on {setting.device}: {reason[0]}"
        ) from error
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold the network
        raise
    finally:
        if setting.compiled:
            torch._dynamo.reset()
        release(device)


def _out_of_memory(error: Exception) -> bool:
    # torch.compile wraps the error, MPS and the CPU allocator raise a plain RuntimeError.
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error) for word in words
    )


def _measured(
    model: str | Callable[[], nn.Module],
    setting: Setting,
    batch_size: int,
    on_progress: OnProgress,
) -> tuple[tuple[float, ...], float | None, str]:
    device = torch.device(setting.device)
    memory = PeakMemory(device)
    network = _built(model)
    step = _step(network, setting, batch_size)
    total = WARM_UP + setting.repetitions
    for done in range(WARM_UP):
        step()
        _synchronize(device)
        on_progress(done + 1, total)
    memory.restart()
    seconds = _timed(step, setting, lambda done: on_progress(WARM_UP + done, total))
    used, _ = depthwise_used(network, device, channels_last=setting.channels_last)
    return seconds, memory.gigabytes(), used


def _built(model: str | Callable[[], nn.Module]) -> nn.Module:
    return networks.build(model, num_classes=NUM_CLASSES) if isinstance(model, str) else model()


def _timed(
    step: Callable[[], None], setting: Setting, on_done: Callable[[int], None]
) -> tuple[float, ...]:
    device = torch.device(setting.device)
    timed = _timed_by_events if device.type == "cuda" else _timed_by_clock
    return timed(step, setting.repetitions, device, on_done)


def _timed_by_clock(
    step: Callable[[], None], repetitions: int, device: torch.device, on_done: Callable[[int], None]
) -> tuple[float, ...]:
    seconds = []
    for done in range(repetitions):
        start = time.perf_counter()
        step()
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
        on_done(done + 1)
    return tuple(seconds)


def _timed_by_events(
    step: Callable[[], None], repetitions: int, device: torch.device, on_done: Callable[[int], None]
) -> tuple[float, ...]:
    """Back to back, as in real work: the device is never left waiting between repetitions."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repetitions + 1)]
    marks[0].record()
    for done, mark in enumerate(marks[1:], start=1):
        step()
        mark.record()
        on_done(done)
    torch.cuda.synchronize(device)
    return tuple(a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _step(network: nn.Module, setting: Setting, batch_size: int) -> Callable[[], None]:
    """One run over one random batch, in the setting's mode and precision."""
    layout = torch.channels_last if setting.channels_last else torch.contiguous_format
    device = torch.device(setting.device)
    _disable_stochastic_depth(network)
    # torch's types lack this one of its signatures.
    network = network.to(device, memory_format=layout)  # type: ignore[call-overload]
    shape = (batch_size, setting.in_channels, setting.image_size, setting.image_size)
    images = torch.randn(shape, device=device).to(memory_format=layout)
    make = {"inference": _inference_step, "training": _training_step}
    return make[setting.mode](network, images, setting)


def _inference_step(network: nn.Module, images: Tensor, setting: Setting) -> Callable[[], None]:
    """A forward pass under autocast, from float32 weights."""
    network = network.eval()
    run = torch.compile(network) if setting.compiled else network

    def step() -> None:
        with torch.inference_mode(), _precision(setting):
            run(images)

    return step


def _training_step(network: nn.Module, images: Tensor, setting: Setting) -> Callable[[], None]:
    """Forward under autocast, cross-entropy, backward, AdamW (fused on CUDA), in float32 weights;
    fp16 with a gradient scaler."""
    kind = images.device.type
    network = network.train()
    run = torch.compile(network) if setting.compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=kind == "cuda")
    scaler = torch.amp.GradScaler(kind, enabled=setting.dtype == "fp16")
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)  # in any network

    def step() -> None:
        optimizer.zero_grad()
        with _precision(setting):
            loss = F.cross_entropy(run(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def _precision(setting: Setting) -> torch.autocast:
    half = setting.dtype != "float32"
    return torch.autocast(setting.device, DTYPES[setting.dtype], enabled=half)


def _disable_stochastic_depth(network: nn.Module) -> None:
    module: Any
    for module in network.modules():
        kind = type(module).__name__
        if kind == "StochasticDepth":  # torchvision's, and ours
            module.p = 0.0
        elif kind == "DropPath":  # timm's
            module.drop_prob = 0.0
