"""A value that a choice has and some part of the program does not know is an error there."""

import pytest
import torch

from models import ModelConfig, ModernResNet
from models.config import CHOICES
from models.source import network_source
from models.weights import export_state_dict
from models.weights.convert import SOURCES
from roadmap import recipes
from roadmap.drawing.diagrams import part_diagram, part_names, stage_table, step_diagrams
from roadmap.drawing.network import network_diagram
from roadmap.export.formats import save
from roadmap.measure.complexity import count
from roadmap.measure.effective_field import untrained
from roadmap.measure.training_memory import training_memory
from roadmap.recipes import RECIPES, Recipe
from roadmap.schedule import learning_rate, scaled_lr
from roadmap.timm_models.network import TimmNetwork
from roadmap.train.data import augment, preview
from roadmap.train.optimizer import build_optimizer, loss_function
from roadmap.views.common.fields import CONTROLS

#: Every value of every choice makes a network with the others of this one.
BASE = ModelConfig(
    depths=(1, 1),
    width=4,
    block="inverted",
    depthwise=True,
    depthwise_position="first",
    num_classes=2,
    layer_scale=0.5,
)
FIELDS = [name for name, values in CHOICES.items() if values != (False, True)]


def bits(network):
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


def built(config):
    torch.manual_seed(0)
    network = ModernResNet(config)
    return repr(network), bits(network)


def through_timm(config):
    torch.manual_seed(0)
    network = TimmNetwork(config, num_classes=2)
    network.reset_classifier(3)
    return repr(network), bits(network), network.feature_info


#: What is made of a config, each by a dispatch of its own.
READERS = {
    "network": built,
    "timm": through_timm,
    "source": network_source,
    "stages": stage_table,
    "steps": lambda config: step_diagrams(BASE, config),
    "parts": lambda config: [part_diagram(BASE, config, part).panels for part in part_names(BASE)],
    "picture": lambda config: network_diagram(None, config).panels,
    "count": count,
    "memory": training_memory,
    "field": lambda config: bits(untrained(config, image_size=32)),
    "names": lambda config: [
        CONTROLS[name].names[value] for name, value in vars(config).items() if name in TEXTS
    ],
}
TEXTS = [name for name, values in CHOICES.items() if isinstance(values[0], str)]


@pytest.fixture
def new_choice(monkeypatch):
    """Adds a value to a choice, as far as the check of a config goes."""

    def add(choices, name):
        value = "new" if isinstance(choices[name][0], str) else 2
        monkeypatch.setitem(choices, name, (*choices[name], value))
        return value

    return add


def told_apart(read, subjects):
    first, *others = map(read, subjects)
    return any(other != first for other in others)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", FIELDS)
def test_a_value_without_a_meaning_fails_wherever_values_differ(new_choice, name, reader):
    read = READERS[reader]
    configs = [BASE.replace(**{name: value}) for value in CHOICES[name]]
    differ = told_apart(read, configs)
    value = new_choice(CHOICES, name)
    try:
        found = read(BASE.replace(**{name: value}))
    except (KeyError, TypeError, ValueError):
        return
    assert not differ, found


def test_the_readers_tell_values_apart():
    """So the test above tests something: each reader for one field or more, each field by some."""
    found = {
        (name, reader)
        for name in FIELDS
        for reader, read in READERS.items()
        if told_apart(read, [BASE.replace(**{name: value}) for value in CHOICES[name]])
    }
    assert {name for name, _ in found} == set(FIELDS)
    assert {reader for _, reader in found} == set(READERS)


@pytest.mark.parametrize("target", SOURCES)
def test_a_layer_without_a_name_in_a_library_is_no_network_of_it(target, monkeypatch):
    config = ModelConfig(depths=(1,), width=4, num_classes=2)
    if target != "resnet":
        config = BASE.replace(downsampling="separate", stem="patchify", norms_per_block=1)
    state = ModernResNet(config).state_dict()
    assert export_state_dict(state, config, target)
    monkeypatch.setattr(
        "models.weights.convert._our_shapes", lambda _config: {"branch.new.weight": (1,)}
    )
    with pytest.raises(ValueError, match="has no network with this config"):
        export_state_dict(state, config, target)


# -- recipes ----------------------------------------------------------------------------------

PICTURES = [torch.arange(40 * 40 * 3).view(40, 40, 3).remainder(256).byte().numpy()] * 2
SMALL = RECIPES["convnext"].replace(train_size=16, test_size=16, test_resize=18)


def optimizer(recipe):
    made = build_optimizer(torch.nn.Linear(2, 2), recipe)
    return type(made).__name__, str(made)


def loss(recipe):
    generator = torch.Generator().manual_seed(0)
    logits, targets = (torch.rand(2, 3, generator=generator) for _ in range(2))
    return float(loss_function(recipe)(logits, targets))


RECIPE_READERS = {
    "optimizer": optimizer,
    "rate": lambda recipe: learning_rate(recipe, 500, 10),
    "scaled rate": lambda recipe: scaled_lr(recipe, 100),
    "loss": loss,
    "erasing": lambda recipe: (
        augment.ERASING_FILLS[recipe.erasing_fill](torch.device("cpu")) is None
    ),
    "preview": lambda recipe: preview.preview(PICTURES, recipe, 3).after.tolist(),
}


def test_a_recipe_refuses_what_it_does_not_know():
    for name, choices in recipes.CHOICES.items():
        with pytest.raises(ValueError, match=f"{name} is 'new'; use '{choices[0]}' or "):
            Recipe(**{name: "new"})


@pytest.mark.parametrize("reader", RECIPE_READERS)
@pytest.mark.parametrize("name", recipes.CHOICES)
def test_a_recipes_value_without_a_meaning_fails_wherever_values_differ(new_choice, name, reader):
    read = RECIPE_READERS[reader]
    differ = told_apart(read, [SMALL.replace(**{name: one}) for one in recipes.CHOICES[name]])
    new = SMALL.replace(**{name: new_choice(recipes.CHOICES, name)})
    try:
        found = read(new)
    except (KeyError, TypeError, ValueError):
        return
    assert not differ, found


def test_every_choice_of_a_recipe_is_read():
    for name, values in recipes.CHOICES.items():
        subjects = [SMALL.replace(**{name: value}) for value in values]
        assert any(told_apart(read, subjects) for read in RECIPE_READERS.values()), name


# -- files ------------------------------------------------------------------------------------


def test_an_unknown_format_is_no_program(tmp_path):
    with pytest.raises(ValueError, match=r"format is 'pt3'; use one of py, safetensors, onnx, pt2"):
        save("pt3", ModernResNet(BASE).eval(), tmp_path / "x", {}, 32)
    assert not list(tmp_path.iterdir())
