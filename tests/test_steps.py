import csv
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from models import VARIANTS
from models.config import differences
from models.variants import VARIANT_TITLES
from roadmap import ROADMAPS
from roadmap.recipes import RECIPES
from roadmap.steps import BEYOND

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "results" / "paper"
ARCHITECTURE = ("resnet50", "resnet200")


def paper_rows(name):
    with (PAPER / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ARCHITECTURE)
def test_steps_are_the_papers_in_its_order(name):
    rows = [row["key"] for row in paper_rows("paper_roadmap") if row["roadmap"] == name]
    steps = [step for step in ROADMAPS[name].steps if step.group != BEYOND]
    assert [*(step.key for step in steps), "swin"] == rows
    assert ROADMAPS[name].steps[: len(steps)] == tuple(steps)


def test_recipe_steps_are_the_blogs_in_its_order():
    rows = [row["key"] for row in paper_rows("torchvision_recipe_steps")]
    assert list(ROADMAPS["torchvision_recipe"].keys) == rows


@pytest.mark.parametrize(
    ("roadmap", "first", "last", "beyond"),
    [
        ("resnet50", "resnet50", "convnext_tiny", "convnextv2_tiny"),
        ("resnet200", "resnet200", "convnext_base", "convnextv2_base"),
    ],
)
def test_roadmaps_start_and_end_at_published_networks(roadmap, first, last, beyond):
    assert ROADMAPS[roadmap].config("baseline") == VARIANTS[first]
    assert ROADMAPS[roadmap].config("separate_downsampling") == VARIANTS[last]
    assert ROADMAPS[roadmap].config("no_layer_scale") == VARIANTS[beyond]


def test_titles_have_the_network_where_a_step_is_one():
    named = {
        step.key: step.full_title
        for step in ROADMAPS["resnet50"].steps
        if step.full_title != step.title
    }
    assert named == {
        "baseline": "ResNet-50 (baseline)",
        "separate_downsampling": "Separate downsampling (ConvNeXt-T)",
        "no_layer_scale": "No layer scale (ConvNeXt V2-T)",
    }
    assert ROADMAPS["resnet200"].step("separate_downsampling").network == "ConvNeXt-B"
    assert ROADMAPS["torchvision_recipe"].step("baseline").full_title == "Baseline"


def test_resnet200_widths():
    roadmap = ROADMAPS["resnet200"]
    widths = [roadmap.config(key).width for key in ("training", "stage_ratio", "increase_width")]
    assert widths == [64, 84, 128]


@pytest.mark.parametrize("name", ARCHITECTURE)
def test_each_step_changes_just_what_it_says(name):
    roadmap = ROADMAPS[name]
    for step in roadmap.steps[1:]:
        before = roadmap.config(roadmap.previous(step.key).key)
        changed = differences(before, roadmap.config(step.key))
        assert set(changed) == set(step.config_changes), step.key


@pytest.mark.parametrize("name", ARCHITECTURE)
def test_kernels_9_and_11_are_tried_and_taken_back(name):
    roadmap = ROADMAPS[name]
    assert [step.key for step in roadmap.steps if not step.adopted] == ["kernel_9", "kernel_11"]
    assert roadmap.config("kernel_11").kernel_size == 11
    assert roadmap.config("gelu").kernel_size == 7
    for key in ("kernel_9", "kernel_11", "gelu"):
        assert roadmap.previous(key).key == "kernel_7"


def test_recipes_of_the_architecture_roadmaps():
    for name in ARCHITECTURE:
        roadmap = ROADMAPS[name]
        assert roadmap.recipe("baseline") == RECIPES["resnet_standard"]
        modern = roadmap.recipe("training")
        assert modern.ema_decay is None
        assert modern.optimizer == "adamw"
        assert {roadmap.recipe(key) for key in roadmap.keys[1:]} == {modern}


def test_torchvision_recipe_ends_at_torchvisions():
    final = ROADMAPS["torchvision_recipe"].recipe("repeated_augmentation")
    assert final == RECIPES["resnet_torchvision"]


def test_unknown_step_names_the_nearest():
    with pytest.raises(KeyError, match="Did you mean 'kernel_7'"):
        ROADMAPS["resnet50"].config("kernel7")


def test_build():
    network = ROADMAPS["resnet50"].build("kernel_7", num_classes=10)
    assert network.head.fc.out_features == 10


def test_reading_steps_and_tables_imports_no_torch_and_no_pandas():
    modules = ("roadmap.steps", "roadmap.tables.results", "roadmap.cli", "roadmap.analysis.audit")
    code = f"""
import importlib, sys
for module in {("models", *modules)}:
    importlib.import_module(module)
    print(module, [name for name in ("torch", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{module} []\n" for module in ("models", *modules))


def test_models_import_anywhere(tmp_path):
    """Also beside folders of the same names, as in a notebook's folder."""
    (tmp_path / "models").mkdir()
    (tmp_path / "roadmap").mkdir()
    code = "from models import VARIANTS; from roadmap import ROADMAPS; print(len(ROADMAPS))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.strip() == "3", done.stderr


def test_steps_are_data():
    for roadmap in ROADMAPS.values():
        for step in roadmap.steps:
            assert step.why.endswith(".")
            assert set(step.recipe_changes) <= {
                f.name for f in dataclasses.fields(RECIPES["convnext"])
            }


@pytest.mark.parametrize("roadmap", ROADMAPS.values(), ids=list(ROADMAPS))
def test_a_roadmap_names_its_networks(roadmap):
    first, last = roadmap.networks
    assert {first, last} <= set(VARIANT_TITLES.values())
    ends = [step.network for step in roadmap.steps if step.network]
    assert not roadmap.changes_networks or ends[:2] == [first, last]
    assert first in roadmap.title


def test_every_variant_has_a_title():
    assert VARIANT_TITLES.keys() == VARIANTS.keys()


@pytest.mark.parametrize(
    ("own", "home"),
    [
        (r"title\.(split|partition)\(", []),
        (r"roadmap(\.name)? [!=]= \"", []),
        (r"\"(ResNet-200|ResNeXt-50|ConvNeXt-[TSBLX]+|ConvNeXt V2-[TSBLX])\"", ["variants.py"]),
        (r"\"TorchVision recipe\"", ["steps.py"]),
    ],
)
def test_what_a_roadmap_or_size_is_called_is_written_once(own, home):
    modules = [path for part in ("models", "roadmap") for path in (ROOT / part).rglob("*.py")]
    found = [path for path in modules if re.search(own, path.read_text(encoding="utf-8"))]
    assert [path.name for path in found] == home, found
