"""Training itself: recipes, steps, schedules, optimizers, accumulation, what a run writes."""

import csv
import json
import signal
import sys
import time
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from data_sets import make_folder
from torch import nn
from training_runs import tiny_settings

from roadmap.errors import InterruptedRunError, NonFiniteError, RefusedError, TrainingError
from roadmap.recipes import RECIPES
from roadmap.runs import curves, read_run
from roadmap.runs.metrics import COLUMNS
from roadmap.schedule import learning_rate, scaled_lr
from roadmap.steps import ROADMAPS
from roadmap.sweep.plan import read_progress
from roadmap.train import loop, recorder, stopwatch
from roadmap.train.run import train
from roadmap.train.settings import choose_recipe

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
