"""``train`` and ``evaluate`` on the command line: options, refusals, scores of weights files."""

import itertools
import json
import sys
from argparse import Namespace

import pytest
import timm
import torch
from forked import forked_run
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_runs import tiny_settings
from typer.testing import CliRunner

from models import VARIANTS, ModelConfig, ModernResNet
from roadmap.cli import app
from roadmap.errors import RefusedError, TrainingError
from roadmap.recipes import RECIPES, Recipe
from roadmap.steps import ROADMAPS
from roadmap.train.checks import check_network
from roadmap.train.run import train
from roadmap.train.scoring import score_file
from roadmap.train.settings import choose_recipe, flat_differences, parse_field, run_config

runner = CliRunner()


def invoke(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = invoke(
        *("train", "--step", "separate_downsampling", "--recipe", "convnext", "--scale", "pocket"),
        *("--epochs", 2, "--warmup-epochs", 1, "--batch-size", 128, "--device", "cpu"),
        *("--output", folder),
    )
    assert done.exit_code == 0, done.output
    return folder, done


def test_train_says_what_it_changed_and_writes_the_run(trained):
    folder, done = trained
    content = json.loads((folder / "run.json").read_text())
    assert content["status"] == "finished"
    assert content["recipe_name"] == "convnext"
    assert content["recipe"]["batch_size"] == 128
    pocket, _ = choose_recipe("resnet50", "separate_downsampling", "convnext", scale="pocket")
    assert content["recipe"]["lr"] == pytest.approx(pocket.lr * 2)
    assert f"the recipe's {pocket.lr:g} at batch size 64 to 128" in done.stderr
    assert "epoch 2/2: loss" in done.stderr
    assert done.stdout == ""


def test_evaluate_gives_the_scores_of_the_run(trained):
    folder, _ = trained
    scores = json.loads((folder / "run.json").read_text())["scores"]
    for name, kind in (("weights", ""), ("weights_ema", "ema_")):
        done = invoke(
            *("evaluate", "--weights", folder / f"{name}.safetensors"),
            *("--device", "cpu", "--format", "json"),
        )
        assert done.exit_code == 0, done.output
        (row,) = json.loads(done.stdout)
        assert row["top1"] == pytest.approx(scores[f"{kind}top1"])
        assert row["top5"] == pytest.approx(scores[f"{kind}top5"])
        assert row["loss"] == pytest.approx(scores[f"{kind}val_loss"], rel=1e-5)
        assert (row["test_size"], row["images"]) == (32, 355)


@pytest.mark.usefixtures("few_digits")
def test_evaluate_scores_timms_weights_alike_in_our_network_and_in_theirs(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "timm.safetensors"
    save_file(timm.create_model("convnext_tiny", num_classes=10).state_dict(), path)
    rows = []
    for model in ("variant:convnext_tiny", "timm:convnext_tiny"):
        done = invoke(
            *("evaluate", "--weights", path, "--model", model, "--image-size", 32),
            *("--device", "cpu", "--format", "json"),
        )
        assert done.exit_code == 0, done.output
        rows += json.loads(done.stdout)
        assert (rows[-1]["network"], rows[-1]["images"]) == (model, 32)
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-5)


def evaluated(path, *arguments):
    options = ("--image-size", 32, "--device", "cpu", "--format", "json")
    return invoke("evaluate", "--weights", path, *arguments, *options)


def test_evaluate_reads_checkpoints_of_training_programs(tmp_path):
    """timm's own, averaged weights beside others, by the same names in both networks."""
    torch.manual_seed(0)
    state = timm.create_model("resnet18", num_classes=10).state_dict()
    save_file(state, tmp_path / "plain.safetensors")
    checkpoint = {
        "arch": "resnet18",
        "state_dict": {key: torch.zeros_like(value) for key, value in state.items()},
        "state_dict_ema": {f"module.{key}": value for key, value in state.items()},
        "args": Namespace(lr=0.1),
    }
    torch.save(checkpoint, tmp_path / "model_best.pth.tar")
    rows = []
    for name in ("plain.safetensors", "model_best.pth.tar"):
        done = evaluated(tmp_path / name, "--model", "timm:resnet18")
        assert done.exit_code == 0, done.output
        rows += json.loads(done.stdout)
    assert [row.pop("part") for row in rows] == [None, "state_dict_ema"]
    assert len({row.pop("weights") for row in rows}) == 2
    assert rows[0] == rows[1]


def test_weights_or_losses_that_are_not_finite_have_no_scores(trained, tmp_path):
    folder, _ = trained
    with safe_open(folder / "weights.safetensors", framework="pt") as file:
        metadata = file.metadata()
    state = load_file(folder / "weights.safetensors")
    path = tmp_path / "weights.safetensors"
    for value, code, sentence in (
        (torch.nan, 2, f"{path}: 'head.fc.weight' has values that are not finite"),
        (torch.inf, 2, f"{path}: 'head.fc.weight' has values that are not finite"),
        (3e38, 3, f"the validation loss of {path} on digits is not finite"),
    ):
        weight = torch.full_like(state["head.fc.weight"], value)
        save_file({**state, "head.fc.weight": weight}, path, metadata=metadata)
        done = evaluated(path)
        assert done.exit_code == code, done.output
        assert sentence in done.stderr
        assert done.stdout == ""
    weight = torch.full((1000, 512), torch.nan)
    theirs = timm.create_model("resnet18").state_dict()
    save_file({**theirs, "fc.weight": weight}, path)
    done = evaluated(path, "--model", "timm:resnet18")
    assert done.exit_code == 2
    assert f"{path}: 'fc.weight' has values that are not finite" in done.stderr
    del theirs["fc.weight"]
    save_file(theirs, path)
    done = evaluated(path, "--model", "timm:resnet18")
    assert done.exit_code == 2
    assert f"{path}: these weights do not fit timm:resnet18: " in done.stderr


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"recipe": '"resnet"'}, "its recipe is 'resnet'; use an object of fields and values"),
        ({"recipe": "[" * 100_000}, "use an object of fields and values"),
        ({"recipe": '{"test_size": "224"}'}, "its recipe's test_size is '224'; use 1 to 16,384"),
        ({"recipe": '{"test_size": 1e999}'}, "its recipe's test_size is inf; use 1 to"),
        ({"recipe": '{"test_resize": -1}'}, "its recipe's test_resize is -1; use 1 to"),
        ({"recipe": '{"interpolation": ["x"]}'}, "use bilinear or bicubic"),
        (
            {"recipe": '{"test_resize": 8}'},
            "its recipe's test_resize is 8; use at least its recipe's test_size, 224",
        ),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_hostile_facts_beside_weights_are_refused(command, facts, sentence, tmp_path, trained):
    config = trained[0] / "run.json"
    config = ModelConfig.from_dict(json.loads(config.read_text())["config"])
    path = tmp_path / "weights.safetensors"
    save_file(ModernResNet(config).state_dict(), path, {"config": config.to_json(), **facts})
    more = ("--format", "safetensors", "--output", tmp_path / "b") if command == "export" else ()
    done = invoke(command, "--weights", path, *more)
    assert done.exit_code == 2, done.output
    assert sentence in done.stderr
    assert str(path) in done.stderr
    assert len(done.stderr) < 600


def test_names_of_no_step_beside_weights_are_shown_short(tmp_path, trained):
    config = json.loads((trained[0] / "run.json").read_text())["config"]
    network = ModernResNet(ModelConfig.from_dict(config))
    facts = {"roadmap": "[1, 2]", "step": json.dumps("x" * 1_000_000)}
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path, {"config": network.config.to_json(), **facts})
    done = evaluated(path)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["network"].startswith("[1, 2]:xxx")
    assert len(row["network"]) < 100


def test_a_network_that_is_no_step_is_told_by_its_size(tmp_path):
    config = VARIANTS["convnext_tiny"].replace(width=8, depths=(1, 1, 1, 1), num_classes=10)
    network = ModernResNet(config)
    save_file(network.state_dict(), tmp_path / "w.st", metadata={"config": config.to_json()})
    row = score_file(tmp_path / "w.st", None, device="cpu", image_size=32)
    assert row["network"] == "a network of width 8, depths 1 1 1 1"


def test_too_little_memory_to_score_is_a_sentence(trained, monkeypatch):
    def short(*_arguments, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("roadmap.train.scoring.evaluate", short)
    with pytest.raises(
        TrainingError, match="7 images of 32 pixels do not fit into memory: use a smaller"
    ):
        score_file(trained[0] / "weights.safetensors", None, device="cpu", batch_size=7)


def test_evaluate_refuses_what_does_not_fit(trained, tmp_path):
    folder, _ = trained
    (tmp_path / "text").write_text("no tensors")
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    for arguments, sentence in (
        (("--weights", tmp_path / "none"), "does not exist; use a safetensors"),
        (("--weights", tmp_path / "text"), "text is not a safetensors file, or is damaged; use"),
        (("--weights", tmp_path / "a.safetensors"), "does not record its network"),
        (
            ("--weights", tmp_path / "a.safetensors", "--step", "kernel_7"),
            f"{tmp_path / 'a.safetensors'}: these weights do not fit",
        ),
        (("--weights", tmp_path / "a.safetensors", "--step", "kernel_8"), "kernel_7"),
        (("--weights", tmp_path / "a.safetensors", "--model", "timm:resnet5"), "resnet5"),
        (("--weights", folder / "weights.safetensors", "--data", tmp_path / "x"), "not exist"),
        (("--weights", folder / "weights.safetensors", "--image-size", 0), "1 to 16,384 pixels"),
        (
            ("--weights", folder / "weights.safetensors", "--step", "kernel_7"),
            "the file holds resnet50:",
        ),
    ):
        done = invoke("evaluate", *arguments, "--device", "cpu")
        assert done.exit_code == 2, done.output
        assert done.stderr.startswith("Error: ")
        assert sentence in done.stderr
        assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--roadmap", "resnet51"), "Did you mean 'resnet50'?"),
        (("--step", "kernel7"), "Did you mean 'kernel_7'?"),
        (("--recipe", "convnxt"), "Did you mean 'convnext'?"),
        (("--optimizer", "adam"), "Did you mean 'adamw'?"),
        (("--lr", "fast"), "--lr is 'fast'; use a number"),
        (("--lr", "nan"), "--lr is nan; use 0 or more"),
        (("--epochs", "2.5"), "--epochs is '2.5'; use a whole number"),
        (
            ("--epochs", "10", "--warmup-epochs", "20"),
            "--warmup-epochs is 20; use fewer than the 10 epochs",
        ),
        (("--batch-size", "0"), "--batch-size is 0; use 1 or more"),
        (("--batch-size", "10000000000"), "--batch-size is 10000000000; use 1 to 1,000,000"),
        (("--ema-decay", "1"), "--ema-decay is 1.0; use 0 or more and under 1"),
        (("--betas", "0.9"), "--betas is '0.9'; use two numbers"),
        (("--test-resize", "100"), "--test-resize is 100; use at least --test-size, 224"),
        (("--data", "nowhere"), "nowhere does not exist"),
        (("--device", "tpu"), "--device is 'tpu', which this machine does not have"),
        (("--scale", "pocket", "--batch-size", "63"), "use a multiple of 2"),
        (("--scale", "pocket", "--image-size", "3"), "at 3 pixels the image is too small"),
        (
            ("--seed", "-1"),
            "--seed is -1; use a whole number from 0 to 18446744073709551615",
        ),
        (("--seed", str(2**64)), "use a whole number from 0 to 18446744073709551615"),
        (("--scale", "pocket", "--step", "baseline", "--batch-size", "1"), "Use --batch-size 2"),
        (
            ("--scale", "pocket", "--step", "kernel_7", "--micro-batch", "1"),
            "--micro-batch 1 of 64 passes one image at a time to batch norm",
        ),
        (
            ("--scale", "pocket", "--step", "kernel_7", "--micro-batch", "9"),
            "Use a value that leaves at least 2 images in every part, or larger images",
        ),
    ],
)
def test_train_refuses_wrong_values_with_a_sentence(arguments, sentence, tmp_path):
    done = invoke("train", "--output", tmp_path / "run", *arguments)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("Error: ")
    assert sentence in done.stderr
    assert not (tmp_path / "run").exists()


def test_batch_norm_is_refused_one_value_and_nothing_else():
    """Where torch refuses to train, and only there."""
    networks = {}
    for step, batch, micro, size in itertools.product(
        ("baseline", "fewer_norms", "separate_downsampling"), (1, 5, 6), (None, 1, 2, 4), (32, 64)
    ):
        settings = tiny_settings(None, step=step, changes={"batch_size": batch, "train_size": size})
        config = run_config("resnet50", step, settings.recipe, scale="pocket")

        def check(
            processes=1, synchronized=True, recipe=settings.recipe, config=config, micro=micro
        ):
            options = {"processes": processes, "synchronized": synchronized}
            check_network(config, recipe, micro_batch=micro, **options)

        if config not in networks:
            networks[config] = ModernResNet(config).train()
        parts = torch.zeros(batch, 3, size, size).split(micro or batch)
        try:
            networks[config](parts[-1])
        except ValueError as error:
            assert "more than 1 value per channel" in str(error)
            with pytest.raises(RefusedError, match="one image at a time to batch norm"):
                check()
        else:
            check()


def test_over_processes_batch_norm_counts_their_images_together():
    settings = tiny_settings(None, step="baseline", changes={"batch_size": 2})
    config = run_config("resnet50", "baseline", settings.recipe, scale="pocket")
    options = {"micro_batch": None, "processes": 2}
    check_network(config, settings.recipe, synchronized=True, **options)
    with pytest.raises(RefusedError, match=r"batch of 2 over 2 processes .* --batch-size 4 or"):
        check_network(config, settings.recipe, synchronized=False, **options)


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("seed", [2**63, 2**64 - 1])
def test_every_seed_that_is_taken_trains(seed, tmp_path):
    few = {"epochs": 1, "warmup_epochs": 0, "batch_size": 148}
    content = train(tiny_settings(tmp_path / "run", changes=few, seed=seed))
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == content["seed"] == seed
    )


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "1"])
def test_a_seed_that_no_generator_takes_is_refused(seed, tmp_path):
    with pytest.raises(RefusedError, match="use a whole number from 0 to"):
        train(tiny_settings(tmp_path / "run", seed=seed))


def test_every_field_of_a_recipe_is_an_option():
    shown = invoke("train", "--help").output
    for name in vars(Recipe()):
        assert f"--{name.replace('_', '-')} " in shown


# -- choosing the recipe ------------------------------------------------------------------------


def test_the_steps_own_recipe_unless_another_is_named():
    assert choose_recipe("resnet50", "baseline")[0] == RECIPES["resnet_standard"]
    assert choose_recipe("resnet50", "kernel_7")[0] == ROADMAPS["resnet50"].recipe("kernel_7")
    assert choose_recipe("resnet50", "kernel_7")[0].ema_decay is None
    assert choose_recipe("resnet50", "baseline", "convnext")[0] == RECIPES["convnext"]


def test_a_recipe_that_trains_smaller_than_it_tests_goes_on_to():
    recipe, notes = choose_recipe("torchvision_recipe", "fixres", image_size=128)
    assert (recipe.train_size, recipe.test_size, recipe.test_resize) == (101, 128, 146)
    assert notes == ["training size 101 pixels: scaled from the recipe's 176 at test size 224"]
    recipe, notes = choose_recipe(
        "torchvision_recipe", "fixres", image_size=128, changes={"train_size": 96}
    )
    assert (recipe.train_size, notes) == (96, [])


def test_image_size_moves_all_three_sizes():
    recipe, _ = choose_recipe("resnet50", "kernel_7", image_size=128)
    assert (recipe.train_size, recipe.test_size, recipe.test_resize) == (128, 128, 146)
    recipe, _ = choose_recipe(
        "resnet50", "kernel_7", image_size=128, changes={"train_size": 112, "test_resize": 160}
    )
    assert (recipe.train_size, recipe.test_size, recipe.test_resize) == (112, 128, 160)


def test_the_rate_follows_the_batch_unless_it_is_given():
    recipe, notes = choose_recipe("resnet50", "kernel_7", changes={"batch_size": 1024})
    assert recipe.lr == pytest.approx(1e-3)
    assert len(notes) == 1
    recipe, notes = choose_recipe("resnet50", "kernel_7", changes={"batch_size": 1024, "lr": 4e-3})
    assert recipe.lr == 4e-3
    assert not notes


def test_layer_scale_stays_with_the_architecture():
    recipe = RECIPES["convnext"].replace(layer_scale=1e-4, stochastic_depth=0.3)
    assert run_config("resnet50", "kernel_7", recipe).layer_scale is None
    final = run_config("resnet50", "separate_downsampling", recipe)
    assert (final.layer_scale, final.stochastic_depth) == (1e-4, 0.3)
    own = ROADMAPS["resnet50"].recipe("separate_downsampling")
    assert run_config("resnet50", "separate_downsampling", own).layer_scale == 1e-6


def test_fields_from_text():
    assert parse_field("betas", "0.9,0.95") == (0.9, 0.95)
    assert parse_field("ema_decay", "none") is None
    assert parse_field("ema_decay", "0.999") == 0.999
    assert parse_field("epochs", "30") == 30
    assert parse_field("schedule", "step") == "step"
    with pytest.raises(RefusedError):
        parse_field("epochs", "none")


def test_differences_name_the_place():
    before = {"seed": 0, "recipe": {"lr": 0.1, "betas": [0.9, 0.999]}, "old": 1}
    after = {"seed": 0, "recipe": {"lr": 0.2, "betas": [0.9, 0.999]}, "new": 2}
    expected = {"recipe.lr": (0.1, 0.2), "old": (1, None), "new": (None, 2)}
    assert flat_differences(before, after) == expected


def test_another_device_or_seed_is_another_run(trained):
    folder, _ = trained
    with pytest.raises(RefusedError, match=r"--seed 0 before, 7 now"):
        train(tiny_settings(folder, seed=7))


def test_training_needs_none_of_the_explorers_packages():
    program = (
        "import sys\n"
        "for name in ('streamlit', 'plotly', 'fvcore'): sys.modules[name] = None\n"
        "from roadmap.cli import app\n"
        "import roadmap.train.run, roadmap.train.scoring\n"
        "app(['train', '--step', 'kernel_77'])\n"
    )
    done = forked_run([sys.executable, "-c", program])
    assert done.returncode == 2, done.stderr
    assert "Did you mean 'kernel_7'?" in done.stderr
