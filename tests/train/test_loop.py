"""Training itself: recipes, steps, schedules, optimizers, accumulation, what a run writes."""

import csv
import json
import math
import signal
import sys
import time
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from data_sets import make_folder
from torch import nn
from training_runs import tiny_settings

from models import ModernResNet
from roadmap.errors import InterruptedRunError, NonFiniteError, RefusedError, TrainingError
from roadmap.recipes import RECIPES
from roadmap.runs import curves, read_run
from roadmap.runs.metrics import COLUMNS
from roadmap.schedule import learning_rate, scaled_lr
from roadmap.steps import ROADMAPS
from roadmap.sweep.plan import read_progress
from roadmap.train import loop, recorder, stopwatch
from roadmap.train import trainer as trainer_module
from roadmap.train.drop_path import DrawnDropPath, DropPaths
from roadmap.train.optimizer import (
    average_decay,
    build_optimizer,
    loss_function,
    parameter_groups,
)
from roadmap.train.run import train
from roadmap.train.settings import choose_recipe, run_config
from roadmap.train.trainer import Trainer

CPU = torch.device("cpu")
FEW = {"epochs": 1, "warmup_epochs": 0, "batch_size": 36}  # four steps of ``few_digits``
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_trains_on_digits(name, tmp_path):
    content = train(tiny_settings(tmp_path / "run", step="kernel_7", recipe=name, changes=FEW))
    assert content["status"] == "finished"
    assert content["steps"] == content["steps_per_epoch"] == 4
    assert (content["scores"]["ema_top1"] is None) == (RECIPES[name].ema_decay is None)
    assert 0 < content["scores"]["val_loss"] < 10


def test_a_quiet_run_says_nothing(tmp_path, capfd):
    settings = tiny_settings(tmp_path / "run", step="kernel_7", changes=FEW)
    train(settings, ["a note"], quiet=True)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("step", ROADMAPS["torchvision_recipe"].keys)
def test_each_step_of_the_torchvision_recipe_trains_on_digits(step, tmp_path):
    settings = tiny_settings(
        tmp_path / "run", roadmap="torchvision_recipe", step=step, recipe=None, changes=FEW
    )
    content = train(settings)
    assert content["status"] == "finished"
    own = ROADMAPS["torchvision_recipe"].recipe(step)
    for field in ("schedule", "auto_augment", "mixup", "cutmix", "weight_decay"):
        assert content["recipe"][field] == getattr(own, field)


def test_a_run_writes_what_it_did(tmp_path):
    folder = tmp_path / "run"
    content = train(tiny_settings(folder, step="kernel_7", changes=FEW | {"epochs": 2}))
    assert content == json.loads((folder / "run.json").read_text())
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["top1"]) == content["scores"]["top1"]
    assert content["data"]["name"] == "digits"
    assert len(content["data"]["sha256"]) == 64
    assert torch.__version__.startswith(content["versions"]["torch"])
    assert content["device_type"] == "cpu"
    assert content["energy_joules"] is None
    assert content["config"]["num_classes"] == 10
    assert content["config"]["stochastic_depth"] == 0.1
    assert content["wall_seconds"] > sum(float(row["seconds"]) for row in rows)
    assert {path.name for path in folder.glob("*.safetensors")} == {
        "weights.safetensors",
        "weights_ema.safetensors",
    }
    assert len(list((folder / "checkpoints").glob("*.json"))) == 1


@pytest.fixture
def first_overflows(monkeypatch):
    """The network's outputs are too large when it is scored for the first time."""
    evaluate, times = loop.evaluate, count(1)

    def evaluated(network, *arguments, **options):
        weight = network.head.fc.weight.data
        before = weight.clone()
        if next(times) == 1:
            weight.fill_(3e38)
        scores = evaluate(network, *arguments, **options)
        weight.copy_(before)
        return scores

    monkeypatch.setattr(loop, "evaluate", evaluated)


def strict_json(path):
    return json.loads(path.read_text(), parse_constant=pytest.fail)


@pytest.mark.usefixtures("first_overflows")
def test_an_epoch_without_a_finite_validation_loss_has_empty_cells(tmp_path, capfd):
    scores = train(tiny_settings(tmp_path, changes=FEW | {"epochs": 2, "ema_decay": None}))[
        "scores"
    ]
    assert scores["top1"] is not None
    first, last = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert (first["val_loss"], first["top1"], first["top5"]) == ("", "", "")
    assert float(last["top1"]) == scores["top1"]
    assert "epoch 1/2: loss" in (said := capfd.readouterr().err)
    assert "the validation loss is not finite, so there are no scores" in said
    run = read_run(tmp_path)
    assert (run.finished, curves(run)["top1"]) == (True, [None, scores["top1"]])


@pytest.mark.usefixtures("first_overflows")
def test_a_run_without_a_finite_validation_loss_at_its_end_fails(tmp_path):
    settings = tiny_settings(tmp_path, changes=FEW)
    for _ in range(2):  # trained, then continued where it ended
        with pytest.raises(NonFiniteError, match=r"after the last epoch, .* no scores") as error:
            train(settings)
        assert error.value.code == 3
        content = strict_json(tmp_path / "run.json")
        assert (content["status"], content["scores"]) == ("failed", None)
    assert not (tmp_path / "weights.safetensors").exists()
    assert read_run(tmp_path).epochs == 1
    progress = read_progress(tmp_path)
    assert (progress.status, progress.epochs, progress.top1) == ("failed", 1, None)
    for state in (tmp_path / "checkpoints").glob("*.json"):
        strict_json(state)


def test_the_same_seed_gives_the_same_run_and_another_one_does_not(tmp_path):
    short = {**FEW, "batch_size": 16}
    scores = [
        train(tiny_settings(tmp_path / str(n), changes=short, seed=seed))["scores"]
        for n, seed in enumerate((0, 0, 1))
    ]
    assert scores[0] == scores[1]
    assert scores[0]["val_loss"] != scores[2]["val_loss"]


def test_a_weight_average_leaves_training_as_it_is(tmp_path):
    trained = {}
    for step in ("fixres", "ema"):
        settings = tiny_settings(
            tmp_path / step, roadmap="torchvision_recipe", step=step, recipe=None, changes=FEW
        )
        trained[step] = train(settings)["scores"]
    assert trained["fixres"]["ema_top1"] is None
    assert trained["ema"]["ema_top1"] is not None
    for name in ("val_loss", "top1"):
        assert trained["fixres"][name] == trained["ema"][name]


def test_bfloat16_and_event_files(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, few = tmp_path / "run", {"batch_size": 16}
    pets = str(make_folder(tmp_path / "pets", train=16, val=8))  # on most CPUs bf16 is slow
    settings = tiny_settings(
        folder, changes=few, data=pets, precision="bf16", trackers=("tensorboard",)
    )
    content = train(settings)
    assert content["precision"] == "bf16"
    events = EventAccumulator(str(folder / "events")).Reload()
    assert set(events.Tags()["scalars"]) == set(COLUMNS[1:])
    points = [(event.step, event.value) for event in events.Scalars("top1")]
    assert points[-1] == (2, pytest.approx(content["scores"]["top1"], rel=1e-5))


def test_event_files_without_tensorboard_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RefusedError, match=r"needs the tensorboard package.*\[train\]"):
        train(tiny_settings(tmp_path / "run", trackers=("tensorboard",)))
    assert not (tmp_path / "run").exists()


class Clocked(nn.Module):
    """A network that takes 100 s the first time, as if it compiled, and then 1 s."""

    def __init__(self, model):
        super().__init__()
        self.model, self.now, self.calls = model, 0.0, 0

    def forward(self, images):
        self.now += 1 if self.calls else 100
        self.calls += 1
        return self.model(images)


@pytest.mark.parametrize(("batch_size", "seconds"), [(36, [4, 4]), (150, [100, 1])])
def test_an_epochs_seconds_are_without_the_compilers(batch_size, seconds, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(torch, "compile", lambda model: made.append(Clocked(model)) or made[0])
    looks = count()
    clock = SimpleNamespace(perf_counter=lambda: sum(m.now for m in made) + 1e-6 * next(looks))
    for module in (loop, recorder, stopwatch):
        monkeypatch.setattr(module, "time", clock)
    changes = FEW | {"epochs": 2, "batch_size": batch_size}
    train(tiny_settings(tmp_path / "run", compiled=True, changes=changes))
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["seconds"]) for row in rows] == pytest.approx(seconds, rel=1e-3)
    rates = [batch_size * (148 // batch_size or 1) / value for value in seconds]
    assert [float(row["images_per_s"]) for row in rows] == pytest.approx(rates, rel=1e-3)


@pytest.mark.parametrize("compiled", [False, True])
def test_waiting_for_its_turn_is_not_a_runs_time(compiled, tmp_path, monkeypatch):
    waits = []
    turn = SimpleNamespace(wait=lambda _seconds: waits.append(1) or len(waits) == 3)
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + 1000 * len(waits))
    for module in (loop, recorder, stopwatch):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(torch, "compile", lambda model: model)
    settings = tiny_settings(tmp_path / "run", compiled=compiled, changes=FEW)
    content = train(settings, turn=turn)
    assert len(waits) == 3
    assert 0 < content["wall_seconds"] < 1000
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert all(0 < float(row["seconds"]) < 1000 for row in csv.DictReader(file))


def test_asked_to_stop_while_it_waits_a_run_does(tmp_path):
    turn = SimpleNamespace(wait=lambda _seconds: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(InterruptedRunError, match="stopped and saved after step 1"):
        train(tiny_settings(tmp_path / "run", changes=FEW), turn=turn)


# -- schedule ---------------------------------------------------------------------------------


def test_cosine_with_warm_up():
    recipe = RECIPES["convnext"]
    assert learning_rate(recipe, 0, 100) == pytest.approx(4e-3 / 2000)
    assert learning_rate(recipe, 1999, 100) == pytest.approx(4e-3)
    assert learning_rate(recipe, 2000, 100) == pytest.approx(4e-3)
    assert learning_rate(recipe, 2000 + 14000, 100) == pytest.approx(2e-3)
    last = learning_rate(recipe, 29999, 100)
    assert 0 < last < 1e-8
    rates = [learning_rate(recipe, step, 100) for step in range(2000, 30000)]
    assert rates == sorted(rates, reverse=True)


def test_step_schedule():
    recipe = RECIPES["resnet_standard"]
    rates = [learning_rate(recipe, epoch * 10 + 9, 10) for epoch in (0, 29, 30, 59, 60, 89)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_the_rate_follows_the_batch():
    assert scaled_lr(RECIPES["convnext"], 1024) == pytest.approx(1e-3)
    assert scaled_lr(RECIPES["resnet_standard"], 1024) == pytest.approx(0.4)
    assert scaled_lr(RECIPES["resnet_timm_a1"], 512) == pytest.approx(2.5e-3)


@pytest.mark.parametrize(
    ("step", "changes", "lengths", "said"),
    [
        ("baseline", {"epochs": 30}, (0, 10), "steps 10 epochs: scaled from the recipe's 30 of 90"),
        (
            "training",
            {"epochs": 30},
            (2, 30),
            "warm-up 2 epochs: scaled from the recipe's 20 of 300",
        ),
        ("training", {"epochs": 5}, (1, 30), "warm-up 1 epoch: scaled from the recipe's 20 of 300"),
        (
            "training",
            {"epochs": 1},
            (0, 30),
            "warm-up 0 epochs: scaled from the recipe's 20 of 300",
        ),
        ("baseline", {"epochs": 30, "schedule": "cosine"}, (0, 30), None),
        ("baseline", {"epochs": 30, "step_epochs": 12}, (0, 12), None),
        ("training", {"epochs": 30, "warmup_epochs": 4}, (4, 30), None),
        ("baseline", {"epochs": 180}, (0, 30), None),
    ],
)
def test_a_shorter_run_shortens_what_is_within(step, changes, lengths, said):
    recipe, notes = choose_recipe("resnet50", step, changes=changes)
    assert (recipe.warmup_epochs, recipe.step_epochs) == lengths
    assert [said in note for note in notes] == ([True] if said else [])


# -- optimizer, loss, average -------------------------------------------------------------------


def test_norms_biases_and_layer_scale_do_not_decay():
    recipe = RECIPES["convnext"]
    model = ModernResNet(run_config("resnet50", "separate_downsampling", recipe, scale="pocket"))
    decayed, free = parameter_groups(model, recipe)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    assert all(parameter.squeeze().ndim >= 2 for parameter in decayed["params"])
    assert all(parameter.squeeze().ndim == 1 for parameter in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))
    assert len(parameter_groups(model, RECIPES["resnet_standard"])) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("resnet_standard", "SGD"), ("resnet_timm_a1", "Lamb"), ("convnext", "AdamW")],
)
def test_the_recipe_chooses_the_optimizer(name, kind):
    optimizer = build_optimizer(nn.Linear(2, 2), RECIPES[name])
    assert type(optimizer).__name__ == kind
    if kind == "SGD":
        assert optimizer.defaults["momentum"] == 0.9
        assert not optimizer.defaults["nesterov"]
    if kind != "Lamb":
        assert optimizer.defaults["fused"]


def test_losses_sum_over_images():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    softmax = logits.log_softmax(1)
    expected = -(targets * softmax).sum()
    assert loss_function(RECIPES["convnext"])(logits, targets) == pytest.approx(float(expected))
    p = logits.sigmoid()
    binary = -(targets * p.log() + (1 - targets) * (1 - p).log()).sum() / 2
    found = loss_function(RECIPES["resnet_timm_a1"])(logits, targets)
    assert found == pytest.approx(float(binary))


def test_torchvision_states_the_decay_before_its_own_scaling():
    assert average_decay(RECIPES["convnext"]) == 0.9999
    # references/classification: 1 - (1 - 0.99998) * 1024 * 32 / 600
    assert average_decay(RECIPES["resnet_torchvision"]) == pytest.approx(0.998908, abs=1e-6)


@pytest.mark.parametrize(
    "shortage",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)."),
        RuntimeError("backend='inductor' raised:\nOutOfMemoryError: CUDA out of memory."),
    ],
)
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("trainer.Trainer.step", "128 images of 32 pixels at once: set --micro-batch"),
        (
            "data.batches.Data._augmented",
            "128 images of 32 pixels at once plus augmentation: set",
        ),
        ("loop.evaluate", "128 images of 32 pixels at once plus validation: set"),
        ("run.open_data", "memory is too small for this network and data"),
        ("run.Trainer", "memory is too small for this network and data"),
    ],
)
def test_too_little_memory_is_a_sentence(place, words, shortage, tmp_path, monkeypatch):
    def short(*_arguments, **_options):
        raise shortage

    monkeypatch.setattr(f"roadmap.train.{place}", short)
    with pytest.raises(TrainingError, match=words):
        train(tiny_settings(tmp_path / "run"))


# -- the step -----------------------------------------------------------------------------------


def _trainer(step="separate_downsampling", recipe="convnext", **options):
    settings = tiny_settings(None, step=step, recipe=recipe)
    config = run_config("resnet50", step, settings.recipe, scale="pocket").replace(num_classes=10)
    torch.manual_seed(0)
    network = ModernResNet(config)
    return Trainer(network, settings.recipe, steps_per_epoch=10, device=CPU, **options)


def _batch(count=16):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 32, 32, generator=generator)
    return images, torch.rand(count, 10, generator=generator).softmax(1)


def test_micro_batches_add_up_to_the_batch():
    whole, parts = _trainer(), _trainer(micro_batch=5)
    for number in range(3):
        whole.step(number, *_batch())
        parts.step(number, *_batch())
    assert parts.sums()[:3] == pytest.approx(whole.sums()[:3], rel=1e-5)
    for ours, theirs in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_state_taken_over_continues_with_the_same_bits(recipe):
    first, second = _trainer(recipe=recipe), _trainer(recipe=recipe, seed=0)
    for number in range(2):
        first.step(number, *_batch())
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    first.step(2, *_batch())
    second.step(2, *_batch())
    ours, theirs = first.state(), second.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_average_follows_the_weights_at_its_pace():
    trainer = _trainer(recipe="resnet_torchvision")
    trainer.recipe = trainer.recipe.replace(ema_every=2)
    trainer.average.decay = 0.75
    name = "head.fc.weight"
    start = trainer.model.state_dict()[name].clone()
    trainer.step(0, *_batch())
    assert torch.equal(trainer.average.module.state_dict()[name], start)
    trainer.step(1, *_batch())
    now = trainer.model.state_dict()[name]
    expected = 0.75 * start + 0.25 * now
    torch.testing.assert_close(trainer.average.module.state_dict()[name], expected)


def test_draws_depend_on_seed_step_and_place_alone():
    def draws(seed, step, start=0, stop=64):
        model = ModernResNet(
            run_config("resnet50", "kernel_7", RECIPES["convnext"], scale="pocket").replace(
                stochastic_depth=0.5
            )
        )
        paths = DropPaths(model, seed, CPU)
        paths.draw(step, 64)
        paths.select(start, stop)
        layers = [m for m in model.modules() if isinstance(m, DrawnDropPath)]
        return torch.stack([layer.factor.flatten() for layer in layers]), layers

    factors, layers = draws(0, 3)
    assert torch.equal(factors, draws(0, 3)[0])
    assert torch.equal(factors[:, 16:48], draws(0, 3, 16, 48)[0])
    assert not torch.equal(factors, draws(0, 4)[0])
    assert not torch.equal(factors, draws(1, 3)[0])
    last = layers[-1].p
    assert sorted(set(factors[-1].tolist())) == pytest.approx([0.0, 1 / (1 - last)])
    assert math.isclose((factors[-1] == 0).float().mean(), last, abs_tol=0.25)


class _LateReading(NamedTuple):
    """As on CUDA, but on its way for ever: only asking for the sums waits for it."""

    values: torch.Tensor
    images: int
    arrived: Any

    @classmethod
    def of(cls, sums, images):
        return cls(sums.clone(), images, SimpleNamespace(query=lambda: False))


@pytest.mark.parametrize("recipe", ["resnet_standard", "convnext"])
def test_a_device_that_is_not_asked_keeps_the_weights_of_the_bad_step(recipe, monkeypatch):
    # On CUDA nobody waits for the loss: the fused optimizer skips by itself. The CPU's can, too.
    monkeypatch.setattr(trainer_module, "_Reading", _LateReading)
    asked, late = (_trainer("baseline", recipe) for _ in range(2))
    late._deferred = True
    late.optimizer.found_inf = late._stop
    images, targets = _batch()
    for number in range(6):
        broken = images * torch.inf if number == 3 else images
        late.step(number, broken, targets)
        if number < 3:
            asked.step(number, images, targets)
    assert late.known_sums().bad_step is None
    assert late.sums().bad_step == 3
    for name, parameter in asked.model.named_parameters():
        assert torch.equal(parameter, late.model.get_parameter(name))
    assert (
        late.first_bad_layer(3, images * torch.inf) == "the input images themselves are not finite"
    )
