"""The training step and what it is made of: optimizer, loss, weight average, drop paths."""

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from training_runs import tiny_settings

from models import ModernResNet
from roadmap.recipes import RECIPES
from roadmap.train import trainer as trainer_module
from roadmap.train.drop_path import DrawnDropPath, DropPaths
from roadmap.train.optimizer import (
    average_decay,
    build_optimizer,
    loss_function,
    parameter_groups,
)
from roadmap.train.settings import run_config
from roadmap.train.trainer import Trainer

CPU = torch.device("cpu")


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
