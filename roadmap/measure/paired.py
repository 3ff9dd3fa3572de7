"""The ratio of two networks' step times, timed in turn.

Both networks are on the device at once and take turns, so that other work on the machine slows both
of them: their ratio varies less than their times.
"""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from roadmap.device import checked_device, device_name, out_of_memory, synchronize
from roadmap.measure.peak_memory import release
from roadmap.measure.throughput import (
    WARM_UP,
    MeasureError,
    OnProgress,
    Setting,
    failure,
    one_step,
    tenths,
    timed,
)

#: Most and least rounds, in which each network takes a turn, and about the seconds for all of them:
#: where one takes long, there are fewer.
ROUNDS, LEAST_ROUNDS, SECONDS = 10, 5, 30.0
#: Least untimed steps of each network, and the seconds after which no more of them begin.
LEAST_WARM_UP, WARM_UP_SECONDS = 2, 10.0
#: Rounds of untimed steps, and their images, that show how long larger batches take, so that slow
#: ones become smaller. The first round also allocates memory and chooses algorithms.
PROBES, LEAST_BATCH = 2, 2
#: Steps per turn: a GPU should not wait between short steps.
STEPS, STEPS_ON_GPU = 1, 5
#: Share by which the 90th percentile of a network's times exceeds the 10th on a busy machine.
BUSY = 0.25


@dataclass(frozen=True)
class Pair:
    """Seconds per step of two networks, one value per round.

    ``batch_size`` is smaller than the setting's if steps take long.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    batch_size: int
    device_name: str

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Return the second network's time as a multiple of the first's: 10th percentile, median
        and 90th percentile of the rounds."""
        rounds = (b / a for a, b in zip(self.first, self.second, strict=True))
        return tenths(tuple(rounds))

    @property
    def busy(self) -> bool:
        """Whether the times vary so much that other work probably slowed the machine."""
        ends = (tenths(seconds) for seconds in (self.first, self.second))
        return any(high > (1 + BUSY) * low for low, _, high in ends)


def compare(
    first: Callable[[], nn.Module],
    second: Callable[[], nn.Module],
    setting: Setting,
    on_progress: OnProgress,
) -> Pair:
    """Time two networks, given as functions that build them, in turn.

    ``setting.repetitions`` is not used. Raises ``DeviceError``, ``MeasureError`` if they do not run
    or do not fit into memory together, and errors of ``on_progress``.
    """
    device = checked_device(setting.device)
    try:
        return _compared(first, second, setting, device, on_progress)
    except (RuntimeError, ValueError, AssertionError, MemoryError) as error:
        traceback.clear_frames(error.__traceback__)
        if out_of_memory(error):
            raise MeasureError(
                f"Both networks with batches of {setting.batch_size} do not fit into the memory of "
                f"{device_name(device)} together: use smaller networks or a smaller image."
            ) from error
        raise MeasureError(failure("One of the networks", setting, error)) from error
    finally:
        release(device)


def _compared(
    first: Callable[[], nn.Module],
    second: Callable[[], nn.Module],
    setting: Setting,
    device: torch.device,
    on_progress: OnProgress,
) -> Pair:
    networks = (first(), second())
    per_turn = STEPS_ON_GPU if device.type == "cuda" else STEPS
    done = 0

    def one_more(rounds: int) -> None:
        nonlocal done
        done += 1
        on_progress(done, 2 * rounds)

    def untimed() -> None:
        one_more(PROBES + WARM_UP + ROUNDS)

    least_steps = LEAST_WARM_UP + LEAST_ROUNDS * per_turn
    batch_size = _batch_size(networks, setting, device, least_steps, untimed)
    steps = [one_step(network, setting, batch_size) for network in networks]
    seconds = _warm_up(steps, device, untimed)
    rounds = min(ROUNDS, max(LEAST_ROUNDS, int(SECONDS / (per_turn * seconds))))
    before = done // 2
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for step, times in zip(steps, found, strict=True):
            times.append(statistics.median(timed(step, per_turn, device, lambda _: None)))
            one_more(before + rounds)
    return Pair(tuple(found[0]), tuple(found[1]), batch_size, device_name(device))


def _batch_size(
    networks: Sequence[nn.Module],
    setting: Setting,
    device: torch.device,
    least_steps: int,
    on_step: Callable[[], None],
) -> int:
    """Return the setting's batch size, halved while ``least_steps`` of both networks take longer
    than all is meant to take."""
    size = min(LEAST_BATCH, setting.batch_size)
    steps = [one_step(network, setting, size) for network in networks]
    for _ in range(PROBES):
        per_image = _in_turn(steps, device, on_step) / size
    found = setting.batch_size
    while found // 2 >= size and least_steps * found * per_image > WARM_UP_SECONDS + SECONDS:
        found //= 2
    return found


def _warm_up(
    steps: list[Callable[[], None]], device: torch.device, on_step: Callable[[], None]
) -> float:
    """Run untimed steps in turn; return the seconds that the last step of each took together."""
    begun = time.perf_counter()
    for done in range(WARM_UP):
        if done >= LEAST_WARM_UP and time.perf_counter() - begun > WARM_UP_SECONDS:
            break
        seconds = _in_turn(steps, device, on_step)
    return seconds


def _in_turn(
    steps: list[Callable[[], None]], device: torch.device, on_step: Callable[[], None]
) -> float:
    """Run each of ``steps`` once; return the seconds of all."""
    start = time.perf_counter()
    for step in steps:
        step()
        synchronize(device)
        on_step()
    return time.perf_counter() - start
