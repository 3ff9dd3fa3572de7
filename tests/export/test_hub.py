"""A run's folder for the hub, read by those who will read it: timm, huggingface_hub, models."""

import dataclasses
import json
import shlex
import subprocess
import sys
from statistics import fmean, stdev

import pytest
import timm
import torch
from cases import class_folders
from color_networks import RECIPE, tells_channels_apart
from fake_runs import write_run
from huggingface_hub import ModelCard
from published_runs import CLASSES, filled, write_published, write_weights
from timm.models._hub import load_model_config_from_path, load_state_dict_from_path
from timm.models._pretrained import PretrainedCfg
from typer.testing import CliRunner

import models
import roadmap.timm_models  # noqa: F401 - registers steps and sizes
from models.files import read_weights, weights_content
from roadmap import ROADMAPS
from roadmap.cli import app
from roadmap.export.card import NO_LICENSE
from roadmap.export.check import ExportError
from roadmap.export.hub import crop_share, save_hub
from roadmap.export.publication import publication
from roadmap.recipes import RECIPES
from roadmap.runs import read_run
from roadmap.train import run as training

STEPS = [(name, key) for name in ("resnet50", "resnet200") for key in ROADMAPS[name].keys]
#: A roadmap of recipes has one network, which timm knows from another.
NAMES = {("torchvision_recipe", "ema"): "roadmap_resnet50_baseline"}


def exported(run, folder, weights=None):
    """``folder``, written from the folder of a run."""
    published = publication(run, weights)
    _, _, facts = read_weights(published.weights)
    save_hub(published, models.load(published.weights), folder, facts)
    return folder


def card_of(folder):
    return ModelCard.load(folder / "README.md")


@pytest.mark.parametrize(("roadmap", "step"), [*STEPS, *NAMES])
def test_timm_and_models_read_every_step(roadmap, step, tmp_path):
    run = write_published(tmp_path, step, roadmap=roadmap, ema_top1=71.0)
    config = write_weights(run, "weights", "weights_ema")
    folder = exported(run, tmp_path / "hub")
    cfg, architecture, arguments = load_model_config_from_path(folder)
    assert architecture == NAMES.get((roadmap, step), f"roadmap_{roadmap}_{step}")
    known = PretrainedCfg(**{**cfg, "architecture": architecture})
    assert (known.num_classes, known.input_size) == (CLASSES, [3, 64, 64])
    assert arguments == {"depths": [1, 1], "width": 8}
    network = models.load(folder / "model.safetensors")
    assert network.config == config
    state = load_state_dict_from_path(folder)
    assert set(state) == set(network.state_dict())
    modules = dict(network.named_modules())
    assert modules[cfg["first_conv"]].in_channels == 3
    assert modules[cfg["classifier"]].out_features == CLASSES
    size = network.forward_features(torch.zeros(1, *cfg["input_size"])).shape[2:]
    assert list(size) == cfg["pool_size"]


@pytest.mark.parametrize("small", [None, {"num_classes": 3, "stochastic_depth": 0.1}])
def test_timm_builds_the_network_from_the_folder(small, tmp_path):
    run = write_run(tmp_path, "kernel_7")
    config = write_weights(run, small=small)
    folder = exported(run, tmp_path / "hub")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network(images), filled(config)(images))
    settings = timm.data.resolve_data_config(model=network)
    assert tuple(settings["input_size"]) == (3, 64, 64)
    transform = timm.data.create_transform(**settings, is_training=False)
    assert transform.transforms[0].size == 73


@pytest.mark.parametrize("names", [("2", "10", "Zebra"), ("Zebra", "ant", "2b"), ("a", "b", "c")])
def test_timms_validation_scores_a_folder_of_images_by_the_class_map(names, tmp_path):
    """As in timm's validate.py; without the map only where the orders of the folders agree."""
    images = class_folders(tmp_path / "images", {name: c for c, name in enumerate(names)})
    order = sorted(names)
    network = tells_channels_apart(images, order)
    sizes = ("train_size", "test_size", "test_resize", "interpolation")
    recipe = {name: getattr(RECIPE, name) for name in sizes}
    run = write_run(tmp_path, "kernel_7", recipe=recipe)
    facts = {"recipe": recipe, "class_names": order}
    content = weights_content(network.state_dict(), network.config, **facts)
    (run / "weights.safetensors").write_bytes(b"".join(content))
    folder = exported(run, tmp_path / "hub")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_data_config(model=network)

    def top1(class_map):
        dataset = timm.data.create_dataset(
            "", root=str(images), split="validation", class_map=class_map
        )
        loader = timm.data.create_loader(
            dataset,
            input_size=config["input_size"],
            batch_size=8,
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
            crop_pct=config["crop_pct"],
            num_workers=1,
            device=torch.device("cpu"),
        )
        with torch.inference_mode():
            right = [network(batch).argmax(1) == labels for batch, labels in loader]
        return torch.cat(right).float().mean().item()

    assert top1(str(folder / "class_map.txt")) == 1
    assert (top1("") == 1) == (names == ("a", "b", "c"))
    text = card_of(folder).text
    assert f"Of the 3 outputs, 0 is {order[0]!r}, 1 is {order[1]!r}, 2 is {order[2]!r}." in text
    assert "--class-map FOLDER/class_map.txt" in text


def test_a_class_map_of_an_earlier_export_does_not_stay(tmp_path):
    run = write_published(tmp_path, "gelu")
    folder = exported(run, tmp_path / "hub")
    assert (folder / "class_map.txt").read_text().splitlines()[:2] == ["class 0", "class 1"]
    write_weights(run, class_names=None)
    card = card_of(exported(run, folder)).text
    assert not (folder / "class_map.txt").exists()
    assert "The weights record no class names" in card
    write_weights(run, class_names=[" padded", *"abcdef"])
    card = card_of(exported(run, folder)).text
    assert not (folder / "class_map.txt").exists()
    assert "0 is ' padded', 1 is 'a', 2 is 'b', 3 is 'c', 4 is 'd', and so on. `label_na" in card


def test_the_card_states_data_recipe_seeds_and_scores(tmp_path):
    scores = {0: 70.25, 1: 70.75, 5: 72.0}
    for seed, top1 in scores.items():
        run = write_published(tmp_path, "gelu", seed, top1)
    other = {"lr": 0.123}
    write_run(tmp_path, "gelu", 6, 90.0, recipe=other)
    write_run(tmp_path, "gelu", 7, 90.0, done=2)
    write_run(tmp_path, "kernel_7", 8, 90.0)
    card = card_of(exported(run, tmp_path / "hub"))
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 72.0)
    assert (result.dataset_name, card.data.model_name) == ("tiny", "roadmap_resnet50_gelu")
    assert card.data.library_name == "timm"
    assert card.data.tags == ["image-classification", "timm", "arxiv:2201.03545"]
    text = card.text
    for said in (
        ROADMAPS["resnet50"].step("gelu").why,
        "tiny: 100 classes, 50,000 training images and 10,000 validation images. SHA-256 `000",
        "| 0 | 70.25 | 85.12 |",
        "| 5, these weights | 72.00 | 86.00 |",
        f"Top-1 over 3 seeds: mean {fmean(scores.values()):.2f}%, standard deviation "
        f"{stdev(scores.values()):.2f}.",
        "resized to 73 pixels on the shorter side (bicubic) and center-cropped to 64 pixels",
        "| `optimizer` | adamw |",
        "| `betas` | 0.9, 0.999 |",
        "NVIDIA H200 in bf16",
        "torch 2.11.0",
        'models.load("model.safetensors")',
        "The recipe is the step's own, with changes: `epochs` 3 instead of 300, `train_size` 64 "
        "instead of 224, `test_size` 64 instead of 224, `test_resize` 73 instead of 256. "
        "Trained for 30 s",
    ):
        assert said in text
    assert "90.00" not in text


def test_the_card_says_where_the_scores_are_of_a_test_split(tmp_path):
    run = write_published(tmp_path, "gelu")
    record = json.loads((run / "run.json").read_text())
    record["data"] |= {"val_split": "Test", "exif_orientation": True}
    (run / "run.json").write_text(json.dumps(record))
    card = card_of(exported(run, tmp_path / "hub"))
    (result,) = card.data.eval_results
    assert result.dataset_split == "test"
    assert "50,000 training images and 10,000 test images." in card.text
    assert "test images. Images are rotated by their EXIF orientation tag, resized" in card.text
    old = card_of(exported(write_published(tmp_path, "gelu", 1), tmp_path / "old"))
    assert old.data.eval_results[0].dataset_split == "validation"
    assert "on the 10,000 validation images. Images are resized" in old.text


@pytest.mark.parametrize(("classes", "shown"), [(5, False), (6, True)])
def test_the_card_has_no_top5_of_five_classes(classes, shown, tmp_path):
    run = write_published(tmp_path, "gelu")
    record = json.loads((run / "run.json").read_text())
    record["data"]["classes"] = classes
    (run / "run.json").write_text(json.dumps(record))
    text = card_of(exported(run, tmp_path / "hub")).text
    assert ("top-5 %" in text) == shown
    assert "70.00" in text


def test_the_card_names_what_was_changed_of_the_recipe_that_was_named(tmp_path):
    a1 = json.loads(json.dumps(dataclasses.asdict(RECIPES["resnet_timm_a1"])))
    options = {"recipe_name": "resnet_timm_a1", "epochs": 600}
    changed = write_run(
        tmp_path, "gelu", 0, recipe={**a1, "lr": 0.25, "betas": [0.5, 0.9]}, **options
    )
    unchanged = write_run(tmp_path, "gelu", 1, recipe=a1, **options)
    for run, said in (
        (
            changed,
            "`resnet_timm_a1`, with changes: `lr` 0.25 instead of 0.005, `betas` 0.5, 0.9",
        ),
        (unchanged, "The recipe is `resnet_timm_a1`, unchanged. Trained"),
    ):
        write_weights(run)
        assert said in card_of(exported(run, tmp_path / f"hub of {run.name}")).text


def test_response_normalization_cites_its_own_paper(tmp_path):
    card = card_of(exported(write_published(tmp_path, "no_layer_scale"), tmp_path / "hub"))
    assert {"arxiv:2201.03545", "arxiv:2301.00808"} <= set(card.data.tags)
    assert "https://arxiv.org/abs/2301.00808) (Woo et al. 2023)" in card.text


def test_the_license_is_in_the_header_or_said_to_be_missing(tmp_path):
    run = write_published(tmp_path, "gelu")
    options = ["export", "--run", str(run), "--format", "hub", "--output", str(tmp_path / "hub")]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'hub' / 'README.md'}: {NO_LICENSE}\n" in result.stdout
    card = card_of(tmp_path / "hub")
    assert card.data.license is None
    assert NO_LICENSE in card.text
    result = CliRunner().invoke(app, [*options, "--license", "cc-by-4.0"])
    assert "hub already exists: use another" in result.stderr
    assert card_of(tmp_path / "hub").data.license is None
    result = CliRunner().invoke(app, [*options, "--license", "cc-by-4.0", "--force"])
    assert result.exit_code == 0, result.output
    card = card_of(tmp_path / "hub")
    assert card.data.license == "cc-by-4.0"
    assert "No license is stated" not in card.text + result.stdout


def test_the_card_shows_how_to_load_the_folder_with_pytorch_and_safetensors_alone(tmp_path):
    run = write_run(tmp_path, "no_layer_scale")
    config = write_weights(run)
    folder = exported(run, tmp_path / "hub")
    snippet = card_of(folder).text.split("```python\n")[1].split("```")[0]
    images = torch.randn(2, 3, 64, 64)
    network = filled(config)
    torch.save(
        (images, network(images).detach(), network(images[:1] * 0).detach()), folder / "x.pt"
    )
    before = """
import sys
sys.modules |= dict.fromkeys(("models", "roadmap", "timm", "torchvision", "huggingface_hub"))
"""
    after = """
images, expected, of_zeros = torch.load("x.pt")
torch.testing.assert_close(logits, of_zeros)
with torch.inference_mode():
    torch.testing.assert_close(network(images), expected)
"""
    ran = subprocess.run(
        [sys.executable, "-c", before + snippet + after],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr


def test_one_seed_says_so_and_the_average_can_be_chosen(tmp_path):
    run = write_run(tmp_path, "gelu", 2, 70.0, ema_top1=71.5)
    write_weights(run, "weights", "weights_ema")
    card = card_of(exported(run, tmp_path / "hub"))
    assert card.data.eval_results[0].metric_value == 70.0
    assert "Only one seed was trained" in card.text
    assert "Scores of the weights after the last epoch" in card.text
    card = card_of(exported(run, tmp_path / "hub", run / "weights_ema.safetensors"))
    assert card.data.eval_results[0].metric_value == 71.5
    assert "Scores of the moving average of the weights" in card.text


def test_a_step_judged_by_its_average_publishes_that(tmp_path):
    run = write_run(tmp_path, "ema", roadmap="torchvision_recipe", ema_top1=72.0)
    write_weights(run, "weights", "weights_ema")
    assert publication(run).weights.name == "weights_ema.safetensors"


def test_timm_resizes_as_the_run_did():
    for size in range(32, 300):
        for resize in range(size, size + 70):
            assert int(size / crop_share(size, resize)) == resize


def test_what_cannot_be_published_is_refused(tmp_path):
    run = write_run(tmp_path, "gelu")
    elsewhere = tmp_path / "other.safetensors"
    for folder, weights, sentence in (
        (tmp_path / "nowhere", None, "There is no run.json"),
        (write_run(tmp_path, "gelu", 1, done=1), None, "use a finished run"),
        (run, None, "train the run again with `python -m roadmap"),
        (run, run / "weights_ema.safetensors", "has no averaged weights: add --weights"),
        (write_run(tmp_path, "gelu", 2, recipe_name="swin"), None, "No recipe is named 'swin'"),
        (run, elsewhere, "use its weights.safetensors or weights_ema.safetensors"),
    ):
        with pytest.raises(ExportError, match=sentence):
            publication(folder, weights)


@pytest.mark.parametrize(
    ("facts", "recipe", "said"),
    [
        ({}, {}, "--epochs 3 --warmup-epochs 1"),
        ({"data": "digits"}, {"ema_decay": 0.5}, "--ema-decay 0.5 --train-size 64"),
        ({"data": "torch/cifar10", "compiled": True}, {}, "--data torch/cifar10"),
        ({"scale": "pocket", "precision": "float32"}, {"betas": [0.9, 0.95]}, "--scale pocket"),
        ({"recipe_name": "resnet_timm_a1"}, {"batch_size": 8}, "--recipe resnet_timm_a1"),
    ],
)
def test_the_command_named_trains_the_run_again(facts, recipe, said, tmp_path, monkeypatch):
    folder = write_run(tmp_path, "gelu", 4, recipe={"warmup_epochs": 1, **recipe}, **facts)
    with pytest.raises(ExportError, match="and export DIR") as refused:
        publication(folder)
    command = str(refused.value).split("`")[1]
    assert command.startswith("python -m roadmap train --roadmap resnet50 --step gelu ")
    found = []
    monkeypatch.setattr(training, "train", lambda settings, _notes: found.append(settings))
    result = CliRunner().invoke(app, shlex.split(command)[3:])
    assert result.exit_code == 0, result.output
    (settings,) = found
    run = read_run(folder)
    as_json = json.loads(json.dumps(dataclasses.asdict(settings.recipe)))
    assert as_json == run.recipe
    names = ("roadmap", "step", "seed", "scale", "precision", "compiled", "recipe_name")
    assert [getattr(settings, name) for name in names] == [getattr(run, name) for name in names]
    assert settings.data == {"digits": None, "tiny": "PATH"}.get(run.data, run.data)
    assert str(settings.output) == "DIR"
    assert said in command


def test_only_a_folder_of_ours_is_written_again(tmp_path):
    run, folder = write_published(tmp_path, "gelu"), tmp_path / "hub"
    folder.mkdir()
    exported(run, folder)
    (folder / "notes.txt").write_text("mine")
    exported(run, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    foreign = json.dumps({"architecture": "resnet50"})
    for content in (None, "{}", "no json", foreign, "[1]", "[" * 100_000):
        (folder / "config.json").unlink(missing_ok=True)
        if content is not None:
            (folder / "config.json").write_text(content)
        with pytest.raises(ExportError, match="contains other files"):
            exported(run, folder)
