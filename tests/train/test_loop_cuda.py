"""What only a GPU can show: fused optimizers, readings that arrive late, compilation."""

import pytest
import torch
from training_runs import fail_reading_at, tiny_settings

from roadmap.recipes import RECIPES
from roadmap.train.errors import NonFiniteError, TrainingError
from roadmap.train.run import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


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
    settings = tiny_settings(tmp_path / "run", device="cuda", compiled=True)
    content = train(settings)
    assert (content["precision"], content["compiled"]) == ("bf16", True)
    assert 0 < content["scores"]["val_loss"] < 3
