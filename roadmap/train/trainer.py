"""One training step, with all the state that it changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.network import ModernResNet
from roadmap.device import autocast
from roadmap.recipes import OPTIMIZERS, Recipe
from roadmap.schedule import learning_rate
from roadmap.train.distributed import World, synchronize_batch_norm
from roadmap.train.drop_path import DropPaths
from roadmap.train.graph import StepGraph
from roadmap.train.optimizer import build_optimizer, freeze, loss_function, weight_average
from roadmap.train.settings import Start

#: Optimizer steps between reads of the device's sums, where a read waits for the device.
READ_EVERY = 25


class Sums(NamedTuple):
    """Sums over images since the start of the epoch."""

    loss: float
    correct: float
    images: int
    #: First optimizer step whose loss was not finite, or None.
    bad_step: int | None


class Trainer:
    """Network, optimizer and weight average of a recipe, and the step that updates them.

    ``steps_per_epoch`` is for the schedule. A forward pass has at most ``micro_batch`` images per
    process; gradients are accumulated. ``start`` sets which layers are frozen or slower.
    """

    def __init__(
        self,
        network: ModernResNet,
        recipe: Recipe,
        *,
        steps_per_epoch: int,
        device: torch.device,
        seed: int = 0,
        precision: str = "float32",
        compiled: bool = False,
        micro_batch: int | None = None,
        world: World | None = None,
        sync_batch_norm: bool = True,
        start: Start | None = None,
    ):
        self.config = network.config
        self.recipe = recipe
        self.steps_per_epoch = steps_per_epoch
        self.device = device
        self.precision = precision
        self.compiled = compiled
        self.micro_batch = micro_batch
        self.world = world or World()
        model: nn.Module = network
        if self.world.size > 1 and sync_batch_norm:
            model = synchronize_batch_norm(model, device.type)
        self.drop_paths = DropPaths(model, seed, device)
        # torch's types lack this one of its signatures.
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        #: Modules that stay in evaluation mode, so that batch norm's statistics do not change.
        self._frozen = freeze(network, start.frozen_stages) if start else []
        self._enter_training()
        self.average = weight_average(self.model, recipe)
        self.optimizer = build_optimizer(self.model, recipe, start)
        self.loss = loss_function(recipe)
        wrapped: Any = torch.compile(model) if compiled else model
        if self.world.size > 1:
            ids = [device.index] if device.type == "cuda" else None
            wrapped = DistributedDataParallel(wrapped, device_ids=ids, gradient_as_bucket_view=True)
        self.network = wrapped
        #: Loss, correct images, and the first step whose loss was not finite (-1: none).
        self._sums = torch.tensor([0, 0, -1], device=device, dtype=_sum_dtype(device))
        self._images = 0
        self._number = torch.zeros_like(self._sums[0])
        self._stop = torch.zeros((), device=device)
        #: A fused optimizer on CUDA skips its update once ``_stop`` is 1, so the weights stay those
        #: of the bad step without a synchronization at every step.
        self._deferred = device.type == "cuda" and OPTIMIZERS[recipe.optimizer].fused
        self._reading: _Reading | None = None
        self._known = Sums(0.0, 0.0, 0, None)
        if self._deferred:  # what torch's gradient scaler sets, so no attribute of the type
            self.optimizer.found_inf = self._stop  # type: ignore[attr-defined]
        self._graph: StepGraph | None = None
        if self._deferred and self.world.size == 1 and micro_batch is None:
            for group in self.optimizer.param_groups:  # recordings store numbers as constants
                group["lr"] = torch.zeros((), device=device)
            self._graph = StepGraph()

    def step(self, number: int, images: Tensor, targets: Tensor) -> None:
        """Run optimizer step ``number`` (from 0) on this process's share of the global batch.

        ``images`` (N, C, H, W) float, ``targets`` (N, classes) probabilities.
        """
        if not self.model.training:
            self._enter_training()
        self._set_rate(self.rate(number))
        self._number.fill_(number)
        parts = self._parts(number, len(images))
        if self._graph is None:
            self._compute(parts, images, targets)
        else:
            [_whole] = parts  # sets the drop paths, which the recording reads
            self._graph.run(self._recordable, images, targets)
        self._images += len(images)
        if self._deferred and self._reading is None and number % READ_EVERY == 0:
            self._reading = _Reading.of(self._sums, self._images)
        if self.average is None or (number + 1) % self.recipe.ema_every:
            return
        if self._deferred or self.known_sums().bad_step is None:
            self.average.update(self.model)

    def rate(self, number: int) -> float:
        """Return the learning rate of step ``number``."""
        return learning_rate(self.recipe, number, self.steps_per_epoch)

    def sums(self) -> Sums:
        """Return this process's current sums; waits for the device."""
        self._reading = None
        self._known = _sums(self._sums.tolist(), self._images)
        return self._known

    def total_sums(self) -> Sums:
        """Return the current sums over all processes. Every process calls it."""
        own = self.sums()
        loss, correct, images = self.world.sum([own.loss, own.correct, own.images])
        return Sums(loss, correct, int(images), own.bad_step)

    def known_sums(self) -> Sums:
        """Return this process's sums as last read, without waiting for the device."""
        if not self._deferred:
            return self.sums()
        if self._reading is not None and self._reading.arrived.query():
            self._known = _sums(self._reading.values.tolist(), self._reading.images)
            self._reading = None
        return self._known

    def begin_epoch(self) -> None:
        self._sums[:2] = 0
        self._images = 0
        self._reading = None
        self._known = Sums(0.0, 0.0, 0, None)

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that training changes, by name. Every process calls it."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        if self.average is not None:
            average = self.average.module.state_dict()
            tensors |= {f"average.{name}": t for name, t in average.items()}
        tensors |= {f"optimizer.{name}": t for name, t in self._optimizer_state().items()}
        total = self.total_sums()
        sums = torch.tensor([total.loss, total.correct, -1], dtype=self._sums.dtype)
        return tensors | {"sums": sums, "images": torch.tensor(total.images)}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Load ``state()`` of a trainer created with the same arguments."""
        self.model.load_state_dict(_below(tensors, "model."))
        if self.average is not None:
            self.average.module.load_state_dict(_below(tensors, "average."))
        self._load_optimizer(_below(tensors, "optimizer."))
        if self._graph is not None:  # it would keep writing to the optimizer's old tensors
            self._graph = StepGraph()
        if self.world.is_main:  # the main process's sums stand for all processes
            self._sums.copy_(tensors["sums"])
            self._images = int(tensors["images"])

    def first_bad_layer(self, number: int, images: Tensor) -> str | None:
        """Say where values that are not finite first appear between ``images`` and the loss of step
        ``number``; None if every layer's output is finite, on all processes. Changes batch norm's
        running statistics. Every process calls it."""
        found: list[str] = []
        if not bool(images.isfinite().all()):
            found.append("the input images themselves are not finite")
        found += [
            f"the weights {name} are not finite"
            for name, parameter in self.model.named_parameters()
            if not bool(parameter.isfinite().all())
        ]
        hooks = [
            module.register_forward_hook(_finite_hook(name, module, found))
            for name, module in self.model.named_modules()
            if not any(module.children())
        ]
        self._enter_training()
        with torch.no_grad(), self._autocast():
            for part, _ in self._parts(number, len(images)):
                self.model(images[part])
        for hook in hooks:
            hook.remove()
        return next(filter(None, self.world.gather(found[0] if found else None)), None)

    @property
    def images_at_once(self) -> int:
        """Return the number of images in a forward pass."""
        share = self.recipe.batch_size // self.world.size
        return min(self.micro_batch or share, share)

    def _enter_training(self) -> None:
        self.model.train()
        for module in self._frozen:
            module.eval()

    def _recordable(self, images: Tensor, targets: Tensor) -> None:
        for group in self.optimizer.param_groups:
            if "capturable" in group:  # torch warns if it is set without a recording
                group["capturable"] = torch.cuda.is_current_stream_capturing()
        self._compute([(slice(None), True)], images, targets)

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            own = rate * group.get("lr_scale", 1.0)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own)
            else:
                group["lr"] = own

    def _compute(
        self, parts: Iterable[tuple[slice, bool]], images: Tensor, targets: Tensor
    ) -> None:
        """Run all of a step's device work except the weight average."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = [self._backward(part, last, images, targets) for part, last in parts]
        self._note(torch.stack(losses).sum())
        if self._deferred or self.known_sums().bad_step is None:
            self.optimizer.step()

    def _parts(self, number: int, count: int) -> Iterator[tuple[slice, bool]]:
        """Yield slices of this process's images per forward pass, and whether each is the last."""
        first = self.world.rank * count
        self.drop_paths.draw(number, self.world.size * count)
        size = self.micro_batch or count
        for start in range(0, count, size):
            stop = min(start + size, count)
            self.drop_paths.select(first + start, first + stop)
            yield slice(start, stop), stop == count

    def _backward(self, part: slice, last: bool, images: Tensor, targets: Tensor) -> Tensor:
        """Compute the gradients of one part; return its loss summed over its images."""
        part_targets = targets[part]
        with nullcontext() if last else self._no_sync():
            with self._autocast():
                logits = self.network(images[part])
            loss = self.loss(logits, part_targets)
            # DDP averages gradients over processes, so each loss is its sum times the number of
            # processes, divided by the images in the global batch.
            (loss / len(images)).backward()
        with torch.no_grad():
            self._sums[1] += (logits.argmax(1) == part_targets.argmax(1)).sum()
        return loss.detach()

    def _note(self, loss: Tensor) -> None:
        """Add ``loss`` to the sums; remember the first step whose loss is not finite."""
        self._sums[0] += loss
        bad = (~loss.isfinite()).to(self._stop.dtype)
        if self.world.size > 1:
            torch.distributed.all_reduce(bad, torch.distributed.ReduceOp.MAX)
        first = (bad > self._stop).to(self._sums.dtype)
        self._sums[2] += first * (self._number + 1)
        torch.maximum(self._stop, bad, out=self._stop)

    def _optimizer_state(self) -> dict[str, Tensor]:
        tensors = {}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{name}.{key}"] = value
        for index, group in enumerate(self.optimizer.param_groups):
            if "step" in group:  # timm's LAMB counts steps per group
                tensors[f"group.{index}.step"] = torch.as_tensor(group["step"])
        return tensors

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for name, value in tensors.items():
            owner, key = name.rsplit(".", 1)
            if owner.startswith("group."):
                self.optimizer.param_groups[int(owner.removeprefix("group."))][key] = value.clone()
                continue
            parameter = parameters[owner]
            if value.shape == parameter.shape:
                # In the parameter's own memory format, which fused kernels need.
                own = torch.empty_like(parameter).copy_(value)
            else:
                own = value.to(parameter.device if self.optimizer.defaults.get("fused") else "cpu")
            self.optimizer.state[parameter][key] = own

    def _autocast(self) -> AbstractContextManager[Any]:
        return autocast(self.device.type, self.precision)

    def _no_sync(self) -> AbstractContextManager[Any]:
        if isinstance(self.network, DistributedDataParallel):
            return self.network.no_sync()
        return nullcontext()


class _Reading(NamedTuple):
    """Sums being copied from the device."""

    values: Tensor
    images: int
    arrived: Any

    @classmethod
    def of(cls, sums: Tensor, images: int) -> _Reading:
        values = torch.empty(sums.shape, dtype=sums.dtype, pin_memory=True)
        values.copy_(sums, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        return cls(values, images, arrived)


def _sums(values: list[float], images: int) -> Sums:
    loss, correct, bad = values
    return Sums(loss, correct, images, None if bad < 0 else int(bad))


def _sum_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _finite_hook(name: str, module: nn.Module, found: list[str]) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if not found and isinstance(output, Tensor) and not bool(output.isfinite().all()):
            found.append(f"the first layer whose output is not finite is {name} ({module})")

    return hook
