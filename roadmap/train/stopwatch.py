"""Time and energy of a run, over all times it was resumed."""

from __future__ import annotations

import time
from typing import Any

import torch

from roadmap.train.distributed import World


class Stopwatch:
    """Wall time and energy of the whole run, and the training time of the current epoch.

    An epoch's time excludes validation, start-up, compilation and waiting for a turn.
    """

    def __init__(self, device: torch.device, world: World):
        self._device, self._world = device, world
        self._meter = EnergyMeter(device)
        self._begun = time.perf_counter()
        self._wall_before = 0.0
        self._joules_before: float | None = 0.0
        self._epoch_begun: float | None = None  # None outside training
        self._epoch_before = 0.0
        self._first_step = self._untimed_steps = 0

    def state(self, step: int) -> dict[str, Any]:
        """Return what a checkpoint after ``step`` steps stores."""
        return {
            "epoch_seconds": self.epoch_seconds(step),
            "wall_seconds": self.wall_seconds(),
            "energy_joules": self.joules(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._epoch_before = state["epoch_seconds"]
        self._wall_before = state["wall_seconds"]
        self._joules_before = state["energy_joules"]

    def begin_epoch(self) -> None:
        self._epoch_before = 0.0

    def begin_training(self, step: int, untimed_steps: int = 0) -> None:
        """Time the steps from ``step`` on; assume the same time for each of ``untimed_steps``."""
        self._epoch_begun = time.perf_counter()
        self._first_step, self._untimed_steps = step, untimed_steps

    def end_training(self, step: int) -> None:
        self._epoch_before, self._epoch_begun = self.epoch_seconds(step), None

    def leave_out(self, seconds: float) -> None:
        """Exclude the last ``seconds``, spent waiting, and all energy so far."""
        self._begun += seconds
        if self._epoch_begun is not None:
            self._epoch_begun += seconds
        self._meter = EnergyMeter(self._device)

    def steps_per_second(self, step: int) -> float:
        """Return the speed since training started or resumed."""
        assert self._epoch_begun is not None
        return (step - self._first_step) / (time.perf_counter() - self._epoch_begun)

    def epoch_seconds(self, step: int) -> float:
        """Return the training time of the current epoch."""
        if self._epoch_begun is None:
            return self._epoch_before
        seconds = time.perf_counter() - self._epoch_begun
        timed = max(step - self._first_step, 1)
        return self._epoch_before + seconds * (1 + self._untimed_steps / timed)

    def wall_seconds(self) -> float:
        return self._wall_before + time.perf_counter() - self._begun

    def joules(self) -> float | None:
        """Return the energy of all devices; None if one is unknown. Every process calls it."""
        joules = self._world.gather(self._meter.joules())
        known = [each for each in joules if each is not None]
        if self._joules_before is None or len(known) < len(joules):
            return None
        return self._joules_before + sum(known)


class EnergyMeter:
    """Energy that this process's device has used since creation, if NVML reports it."""

    def __init__(self, device: torch.device):
        self._device = device
        self._start = self._joules()

    def joules(self) -> float | None:
        now = self._joules()
        return None if now is None or self._start is None else now - self._start

    def _joules(self) -> float | None:
        if self._device.type != "cuda":
            return None
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(self._device).uuid}"
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
        except pynvml.NVMLError:
            return None
