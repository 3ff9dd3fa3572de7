"""Images/s and peak memory of inference and training steps.

Inputs are random and stay on the device, so data loading is not measured. Stochastic depth is off,
since it belongs to the recipe and libraries have different default rates.
"""

from __future__ import annotations

import itertools
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.depthwise import depthwise_used
from models.text import said
from roadmap.device import (
    Device,
    DType,
    autocast,
    checked_device,
    device_name,
    out_of_memory,
    synchronize,
)
from roadmap.measure import networks
from roadmap.measure.peak_memory import PeakMemory, release

Mode = Literal["inference", "training"]
CHOICES = {"mode": get_args(Mode), "device": get_args(Device), "dtype": get_args(DType)}
#: Untimed first runs, which compile, choose algorithms and allocate memory.
WARM_UP = 5
MIN_REPETITIONS = 10
NUM_CLASSES = 1000

#: Called with the number of finished runs and their total, warm-up included. May raise to cancel.
OnProgress = Callable[[int, int], None]


class MeasureError(ValueError):
    """A network or setting that cannot be measured; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How to measure. Raises ``MeasureError`` for an invalid value.

    ``image_size`` is the side of a square image in pixels, ``in_channels`` the network's input
    channels, ``repetitions`` the number of timed runs.
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
    """The result of ``measure``.

    ``seconds`` has one value per repetition. ``batch_size`` is smaller than the setting's if memory
    ran out. ``peak_memory_gb`` is in 1e9 bytes, None if unknown. ``depthwise`` says whose kernels
    run the depthwise convolutions: ``torch``, or ``own`` where inputs are large.
    """

    model: str
    setting: Setting
    batch_size: int
    seconds: tuple[float, ...]
    peak_memory_gb: float | None
    depthwise: str
    device_name: str

    @property
    def rates(self) -> tuple[float, float, float]:
        """Return images/s: 10th percentile, median and 90th percentile."""
        rates = [self.batch_size / seconds for seconds in self.seconds]
        return tenths(rates)

    @property
    def note(self) -> str | None:
        """Return a sentence if the batch size was reduced, else None."""
        if self.batch_size == self.setting.batch_size:
            return None
        return (
            f"{self.model}, {self.setting.mode}: memory ran out at batch size "
            f"{self.setting.batch_size}; measured at {self.batch_size}."
        )


def measure(
    model: str | Callable[[], nn.Module], setting: Setting, on_progress: OnProgress | None = None
) -> Measurement:
    """Time a network, given by name (``timm:convnext_tiny``) or as a function that builds it.

    If memory runs out, the batch size is halved, down to one image. Raises ``UnknownNetworkError``
    for an unknown name, ``DeviceError`` for a device that this machine lacks, ``MeasureError`` if
    the network does not run in this setting, and errors of ``on_progress``. Memory is always
    released.
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


def tenths(values: Sequence[float]) -> tuple[float, float, float]:
    """Return 10th percentile, median and 90th percentile."""
    found = statistics.quantiles(values, n=10, method="inclusive")
    return found[0], found[4], found[8]


def _attempt(
    model: str | Callable[[], nn.Module],
    name: str,
    setting: Setting,
    batch_size: int,
    on_progress: OnProgress | None,
) -> tuple[tuple[float, ...], float | None, str] | None:
    """Return seconds, peak memory and depthwise kernels, or None if memory ran out."""
    device = torch.device(setting.device)
    try:
        return _measured(model, setting, batch_size, on_progress or (lambda _done, _total: None))
    except networks.UnknownNetworkError:
        raise
    # torch raises ``ValueError`` if batch norm gets only one value per channel.
    except (RuntimeError, ValueError, AssertionError, MemoryError) as error:
        traceback.clear_frames(error.__traceback__)
        if out_of_memory(error):
            return None
        raise MeasureError(failure(name, setting, error)) from error
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # frees the network
        raise
    finally:
        if setting.compiled:
            torch._dynamo.reset()
        release(device)


def failure(name: str, setting: Setting, error: Exception) -> str:
    """Say that the network ``name`` does not run in ``setting``, and why."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"{name} does not run in {setting.mode} at {setting.image_size} x {setting.image_size} "
        f"pixels in {setting.dtype} on {setting.device}: {reason[0]}"
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
    step = one_step(network, setting, batch_size)
    total = WARM_UP + setting.repetitions
    for done in range(WARM_UP):
        step()
        synchronize(device)
        on_progress(done + 1, total)
    memory.restart()
    seconds = timed(
        step, setting.repetitions, device, lambda done: on_progress(WARM_UP + done, total)
    )
    used, _ = depthwise_used(network, device, channels_last=setting.channels_last)
    return seconds, memory.gigabytes(), used


def _built(model: str | Callable[[], nn.Module]) -> nn.Module:
    return networks.build(model, num_classes=NUM_CLASSES) if isinstance(model, str) else model()


def timed(
    step: Callable[[], None], repetitions: int, device: torch.device, on_done: Callable[[int], None]
) -> tuple[float, ...]:
    """Return the seconds of each of ``repetitions``; ``on_done`` is called with their number."""
    by_device = _timed_by_events if device.type == "cuda" else _timed_by_clock
    return by_device(step, repetitions, device, on_done)


def _timed_by_clock(
    step: Callable[[], None], repetitions: int, device: torch.device, on_done: Callable[[int], None]
) -> tuple[float, ...]:
    seconds = []
    for done in range(repetitions):
        start = time.perf_counter()
        step()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
        on_done(done + 1)
    return tuple(seconds)


def _timed_by_events(
    step: Callable[[], None], repetitions: int, device: torch.device, on_done: Callable[[int], None]
) -> tuple[float, ...]:
    """Time repetitions back to back, as in real work, so the device never waits between them."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repetitions + 1)]
    marks[0].record()
    for done, mark in enumerate(marks[1:], start=1):
        step()
        mark.record()
        on_done(done)
    torch.cuda.synchronize(device)
    return tuple(a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks))


def one_step(network: nn.Module, setting: Setting, batch_size: int) -> Callable[[], None]:
    """Return a function that runs one random batch in the setting's mode and precision."""
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
    """Return a forward pass under autocast with float32 weights."""
    network = network.eval()
    run = torch.compile(network) if setting.compiled else network

    def step() -> None:
        with torch.inference_mode(), autocast(setting.device, setting.dtype):
            run(images)

    return step


def _training_step(network: nn.Module, images: Tensor, setting: Setting) -> Callable[[], None]:
    """Return a training step with float32 weights: forward pass under autocast, cross-entropy,
    backward pass, AdamW (fused on CUDA); fp16 uses a gradient scaler."""
    kind = images.device.type
    network = network.train()
    run = torch.compile(network) if setting.compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=kind == "cuda")
    scaler = torch.amp.GradScaler(kind, enabled=setting.dtype == "fp16")
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)  # any valid class

    def step() -> None:
        optimizer.zero_grad()
        with autocast(setting.device, setting.dtype):
            loss = F.cross_entropy(run(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def _disable_stochastic_depth(network: nn.Module) -> None:
    module: Any
    for module in network.modules():
        kind = type(module).__name__
        if kind == "StochasticDepth":  # torchvision's, and ours
            module.p = 0.0
        elif kind == "DropPath":  # timm's
            module.drop_prob = 0.0
