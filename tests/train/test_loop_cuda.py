"""What only a GPU can show: fused optimizers, readings that arrive late, compilation."""

import dataclasses
import gc
import weakref

import pytest
import torch
from training_runs import fail_reading_at, outcome, tiny_settings

from roadmap.errors import NonFiniteError, TrainingError
from roadmap.recipes import RECIPES
from roadmap.train import trainer as trainer_module
from roadmap.train.data.prefetch import prefetched
from roadmap.train.graph import StepGraph
from roadmap.train.run import train
from roadmap.train.settings import Start

pytestmark = pytest.mark.cuda


def test_memory_does_not_grow_with_the_epochs():
    device = torch.device("cuda", torch.cuda.current_device())

    def epoch():
        for _ in range(3):
            yield torch.zeros(2**24, device=device), torch.zeros(8, device=device)

    def train(epochs):
        for _ in range(epochs):
            for _ in prefetched(epoch(), device):
                pass
        return torch.cuda.memory_reserved(device)

    # How many batches are in flight at once depends on the clock, not on the epochs.
    after_few = train(5)
    assert train(30) - after_few < 10 * 4 * 2**24


@pytest.fixture
def deterministic():
    """Without this, two launched runs differ as much as a launched and a recorded one: by over
    0.004 in the training loss of the second epoch (H200)."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("step", ["baseline", "gelu", "separate_downsampling"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recorded_steps_are_launched_ones_to_the_bit(recipe, step, tmp_path):
    for name, micro_batch in (("recorded", None), ("launched", 10**6)):
        settings = tiny_settings(
            tmp_path / name,
            step=step,
            recipe=recipe,
            device="cuda",
            precision="float32",
            micro_batch=micro_batch,
        )
        train(settings)
    recorded, launched = (outcome(tmp_path / name) for name in ("recorded", "launched"))
    assert recorded["metrics"] == launched["metrics"]
    assert recorded["weights"] == launched["weights"]


@pytest.mark.usefixtures("deterministic")
def test_a_recorded_fine_tuning_is_a_launched_one_to_the_bit(tmp_path):
    train(tiny_settings(tmp_path / "base", step="gelu", device="cuda"))
    start = Start(weights=str(tmp_path / "base"), layer_decay=0.5, frozen_stages=1)
    for name, micro_batch in (("recorded", None), ("launched", 10**6)):
        settings = tiny_settings(
            tmp_path / name,
            recipe="fine_tune",
            device="cuda",
            precision="float32",
            micro_batch=micro_batch,
        )
        train(dataclasses.replace(settings, step=None, start=start))
    recorded, launched = (outcome(tmp_path / name) for name in ("recorded", "launched"))
    assert recorded["metrics"] == launched["metrics"]
    assert recorded["weights"] == launched["weights"]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_recording_is_freed_with_its_run(compiled, tmp_path, monkeypatch):
    """Not by the garbage collector, which may run in a forked process first and end that."""
    made = []

    class Watched(StepGraph):
        def __init__(self):
            super().__init__()
            made.append(weakref.ref(self))

    monkeypatch.setattr(trainer_module, "StepGraph", Watched)
    gc.disable()
    try:
        train(tiny_settings(tmp_path / "run", device="cuda", compiled=compiled))
        assert [graph() for graph in made] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_continues_on_the_gpu(recipe, tmp_path, monkeypatch):
    def settings(name):
        return tiny_settings(
            tmp_path / name, recipe=recipe, device="cuda", precision="float32", checkpoint_every=0
        )

    whole = train(settings("whole"))
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="step 5"):
        fail_reading_at(patch, 5)
        train(settings("parts"))
    parts = train(settings("parts"))
    assert parts["scores"]["val_loss"] == pytest.approx(whole["scores"]["val_loss"], abs=0.05)
    assert parts["energy_joules"] is None or parts["energy_joules"] > 0


@pytest.mark.parametrize("recipe", ["resnet_standard", "convnext", "resnet_timm_a1"])
def test_the_bad_step_is_found_although_nobody_waits(recipe, tmp_path):
    changes = {"lr": 1e30, "warmup_epochs": 0, "epochs": 6}
    settings = tiny_settings(
        tmp_path / "run", step="baseline", recipe=recipe, changes=changes, device="cuda"
    )
    with pytest.raises(NonFiniteError, match=r"the loss of step [12] .* is not finite"):
        train(settings)


def test_a_compiled_run_in_bf16(tmp_path):
    settings = tiny_settings(tmp_path / "run", device="cuda", precision="bf16", compiled=True)
    content = train(settings)
    assert (content["precision"], content["compiled"]) == ("bf16", True)
    assert 0 < content["scores"]["val_loss"] < 3
