"""Fine-tuning: trained weights, slower and frozen layers, and the runs that may resume."""

import dataclasses
import json
import re

import pytest
import torch
from safetensors.torch import save_file
from training_runs import fail_reading_at, on_processes, outcome, tiny_settings, whole_run
from typer.testing import CliRunner

from models import ModelConfig, ModernResNet
from models.files import read_weights
from models.variants import FURTHER, VARIANTS
from models.weights import export_state_dict
from roadmap.cli import app
from roadmap.errors import RefusedError, TrainingError
from roadmap.recipes import FINE_TUNE, NAMED_RECIPES, RECIPES
from roadmap.runs import TunedRun, read_run, read_runs
from roadmap.sweep.folders import check_folders
from roadmap.sweep.plan import PlannedRun
from roadmap.timm_models import weights
from roadmap.train import fine_tune
from roadmap.train.fine_tune import read_start
from roadmap.train.optimizer import build_optimizer, freeze, lr_scale
from roadmap.train.run import train
from roadmap.train.scoring import score_file
from roadmap.train.settings import Settings, Start, choose_recipe
from roadmap.train.trainer import Trainer

SHORT = {"epochs": 1, "warmup_epochs": 0, "batch_size": 36}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run of a network with batch norm, trained on the digits for a few epochs."""
    folder = tmp_path_factory.mktemp("base") / "digits-base"
    train(tiny_settings(folder, step="kernel_7", changes={"epochs": 4, "lr": 4e-3}), quiet=True)
    return folder


@pytest.fixture(scope="module")
def unnamed(base, tmp_path_factory):
    """The weights of ``base`` without class names, so that the classifier is new."""
    path = tmp_path_factory.mktemp("unnamed") / "digits.safetensors"
    tensors, config, _ = read_weights(base / "weights.safetensors")
    save_file(tensors, path, metadata={"config": config.to_json()})
    return path


def tuned(folder, weights, *, changes=None, layer_decay=0.7, frozen_stages=0, network=None, **more):
    start = Start(
        weights=str(weights),
        layer_decay=layer_decay,
        frozen_stages=frozen_stages,
        network=network,
    )
    settings = tiny_settings(
        folder, step="kernel_7", recipe="fine_tune", changes=SHORT | (changes or {}), **more
    )
    return dataclasses.replace(settings, step=None, start=start)


def weights_of(folder):
    return read_weights(folder / "weights.safetensors").tensors


def test_the_recipe_is_the_papers():
    # Liu et al. 2022, Table 6.
    assert (FINE_TUNE.lr, FINE_TUNE.weight_decay, FINE_TUNE.batch_size) == (5e-5, 1e-8, 512)
    assert (FINE_TUNE.epochs, FINE_TUNE.warmup_epochs, FINE_TUNE.schedule) == (30, 0, "cosine")
    assert (FINE_TUNE.mixup, FINE_TUNE.cutmix, FINE_TUNE.label_smoothing) == (0, 0, 0.1)
    assert NAMED_RECIPES["fine_tune"] is FINE_TUNE
    assert "fine_tune" not in RECIPES


def test_weights_may_be_a_path(base):
    start = Start(weights=base / "weights.safetensors")
    assert start == Start(weights=str(base / "weights.safetensors"))
    assert json.dumps(read_start(start).recorded(None)._asdict())  # as run.json stores it


def test_one_epoch_from_trained_weights_beats_one_from_random_ones(unnamed, tmp_path):
    # The same recipe and a new classifier; only the other weights differ.
    settings = tuned(tmp_path / "tuned", unnamed, changes={"batch_size": 128, "lr": 2e-3})
    content = train(settings, quiet=True)
    random = dataclasses.replace(settings, step="kernel_7", start=None, output=tmp_path / "random")
    assert content["scores"]["top1"] > train(random, quiet=True)["scores"]["top1"] + 20
    assert content["start"]["head"] == "new"


@pytest.mark.usefixtures("few_digits")
class TestRuns:
    def test_a_set_smaller_than_a_batch_is_said_with_what_helps(self, unnamed, tmp_path, capfd):
        train(tuned(tmp_path / "run", unnamed, changes={"batch_size": 512, "epochs": 1}))
        said = capfd.readouterr().err
        assert "148 training images are less than a batch of 512, so each epoch is one step" in said
        assert "try --batch-size 32" in said
        assert "1 step of 512, too few for an average with decay 0.95: try --ema-decay none" in said

    def test_the_options_proposed_for_few_images_learn(self, unnamed, tmp_path, capfd):
        sizes = dict.fromkeys(("train_size", "test_size", "test_resize"), 32)
        losses = []
        for changes in ({}, {"batch_size": 32, "lr": 1e-3, "ema_decay": None}):
            recipe, _ = choose_recipe(
                "resnet50", "gelu", "fine_tune", changes={"epochs": 10} | sizes | changes
            )
            settings = Settings(
                recipe=recipe,
                recipe_name="fine_tune",
                start=Start(weights=str(unnamed)),
                device="cpu",
                output=tmp_path / str(len(losses)),
            )
            losses.append(train(settings)["scores"]["val_loss"])
            said = capfd.readouterr().err
            assert (": try " in said) == (not changes)
            assert (": try --batch-size 32 --lr 1e-3 --ema-decay none\n" in said) == (not changes)
        assert losses[0] > 2  # of ten classes, which chance gives 2.3
        assert losses[1] < 1.5

    def test_the_record_says_where_the_run_started(self, unnamed, tmp_path):
        folder = tmp_path / "digits" / "run"
        content = train(tuned(folder, unnamed, frozen_stages=1), quiet=True)
        assert content["start"] == {
            "weights": str(unnamed),
            "sha256": fine_tune._file_sha256(unnamed),
            "network": "a network of width 24, depths 1 1 3 1",
            "head": "new",
            "layer_decay": 0.7,
            "frozen_stages": 1,
        }
        assert content["step"] is None
        run = read_run(folder)
        assert isinstance(run, TunedRun)
        assert json.loads(json.dumps(run.to_json())) == content
        found = read_runs(tmp_path)
        assert (found.runs, found.points, found.unreadable) == ((), (), ())
        assert [run.path for run in found.tuned] == [folder]
        scored = score_file(folder / "weights.safetensors", None, device="cpu")
        assert scored["top1"] == pytest.approx(content["scores"]["top1"])

    def test_training_starts_at_the_weights(self, base, unnamed, tmp_path):
        # With a rate of 0, nothing moves.
        train(tuned(tmp_path / "kept", base, changes={"lr": 0.0}), quiet=True)
        train(tuned(tmp_path / "new", unnamed, changes={"lr": 0.0}), quiet=True)
        before, kept, new = (
            weights_of(base),
            weights_of(tmp_path / "kept"),
            weights_of(tmp_path / "new"),
        )
        for name, tensor in before.items():
            if "running" in name or "tracked" in name:
                continue
            assert torch.equal(kept[name], tensor), name
            assert torch.equal(new[name], tensor) != name.startswith("head.fc"), name
        assert 0 < new["head.fc.weight"].abs().max() < 1e-2 * before["head.fc.weight"].abs().max()

    def test_frozen_stages_keep_their_bits(self, unnamed, tmp_path):
        train(tuned(tmp_path / "run", unnamed, frozen_stages=2, changes={"lr": 1e-2}), quiet=True)
        before, after = read_weights(unnamed).tensors, weights_of(tmp_path / "run")
        average = read_weights(tmp_path / "run" / "weights_ema.safetensors").tensors
        frozen = ("stem.", "stages.0.", "stages.1.")
        for name, tensor in before.items():
            stays = name.startswith(frozen)
            assert torch.equal(after[name], tensor) == stays, name
            assert torch.equal(average[name], tensor) or not stays, name

    @pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lamb"])
    def test_an_interrupted_run_resumes_to_the_same_bits(
        self, unnamed, optimizer, tmp_path, monkeypatch
    ):
        options = {"frozen_stages": 1, "changes": {"epochs": 2, "optimizer": optimizer}}
        train(tuned(tmp_path / "whole", unnamed, **options), quiet=True)
        stopped = tuned(tmp_path / "stopped", unnamed, checkpoint_every=0, **options)
        with monkeypatch.context() as patch:
            fail_reading_at(patch, 2)
            with pytest.raises(TrainingError, match="the data is gone"):
                train(stopped, quiet=True)
        content = train(stopped, quiet=True)
        assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")
        assert content["start"]["sha256"] == fine_tune._file_sha256(unnamed)

    def test_other_weights_do_not_resume_a_run_and_moved_ones_do(
        self, base, unnamed, tmp_path, monkeypatch
    ):
        settings = tuned(tmp_path / "run", unnamed, checkpoint_every=0)
        with monkeypatch.context() as patch:
            fail_reading_at(patch, 2)
            with pytest.raises(TrainingError):
                train(settings, quiet=True)
        other = dataclasses.replace(settings, start=Start(weights=str(base)))
        with pytest.raises(RefusedError, match=r"holds another run: SHA-256 of --weights '\w+'"):
            train(other, quiet=True)
        slower = dataclasses.replace(settings.start, layer_decay=0.5)
        with pytest.raises(RefusedError, match=r"--layer-decay 0\.7 before, 0\.5 now.*add --layer"):
            train(dataclasses.replace(settings, start=slower), quiet=True)
        scratch = dataclasses.replace(settings, step="kernel_7", start=None)
        with pytest.raises(
            RefusedError, match=r"SHA-256 of --weights '\w+' before, None now\. Use"
        ):
            train(scratch, quiet=True)
        moved = unnamed.with_name("moved.safetensors")
        moved.write_bytes(unnamed.read_bytes())
        again = dataclasses.replace(settings, start=Start(weights=str(moved)))
        assert train(again, quiet=True)["status"] == "finished"

    def test_a_sweep_does_not_count_a_fine_tuned_run_as_its_own(self, unnamed, tmp_path):
        folder = tmp_path / "run"
        settings = tuned(folder, unnamed)
        train(settings, quiet=True)
        scratch = dataclasses.replace(settings, step="kernel_7", start=None)
        with pytest.raises(RefusedError, match=r"1 run with other settings.*SHA-256 of --weights"):
            check_folders([PlannedRun(scratch)], device="cpu")

    def test_the_classifier_follows_the_names_of_the_classes(self, base, tmp_path):
        # The same network with its outputs, and their names, in another order.
        tensors, config, facts = read_weights(base / "weights.safetensors")
        order = list(range(9, -1, -1))
        for name in ("head.fc.weight", "head.fc.bias"):
            tensors[name] = tensors[name][order].contiguous()
        names = [facts["class_names"][place] for place in order]
        path = tmp_path / "reversed.safetensors"
        metadata = {"config": config.to_json(), "class_names": json.dumps(names)}
        save_file(tensors, path, metadata=metadata)
        content = train(tuned(tmp_path / "run", path, changes={"lr": 0.0}), quiet=True)
        assert content["start"]["head"] == "kept"
        for name in ("head.fc.weight", "head.fc.bias"):
            assert torch.equal(weights_of(tmp_path / "run")[name], weights_of(base)[name])


#: A layer that is neither frozen nor new.
TRAINED = "stages.3.blocks.0.branch.conv1.weight"


def test_two_processes_fine_tune_as_one_does(unnamed, tmp_path):
    # Adam would turn gradients that rounding leaves around zero into steps of either sign.
    changes = {"batch_size": 128, "lr": 0.02, "optimizer": "sgd"}
    for count in (1, 2):
        settings = tuned(tmp_path / str(count), unnamed, frozen_stages=1, changes=changes)
        on_processes(count, whole_run, settings, tmp_path / f"{count}-said")
    one, two = (weights_of(tmp_path / str(count)) for count in (1, 2))
    moved = one[TRAINED].float() - read_weights(unnamed).tensors[TRAINED].float()
    assert moved.abs().max() > 2e-3
    for name, tensor in one.items():
        torch.testing.assert_close(two[name].float(), tensor.float(), atol=2e-4, rtol=2e-3)
        if name.startswith(("stem.", "stages.0.")):
            assert torch.equal(two[name], tensor)


# -- rates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "power"),
    [
        # Stages of 3, 3, 9 and 3 blocks: the stem, one group, one, three, one; the head.
        ("stem.conv.weight", 7),
        ("stem.norm.bias", 7),
        ("stages.0.blocks.0.branch.conv1.weight", 6),
        ("stages.0.blocks.2.branch.conv1.weight", 6),
        ("stages.1.downsample.conv.weight", 5),
        ("stages.1.blocks.2.branch.scale.gamma", 5),
        ("stages.2.downsample.norm.weight", 4),
        ("stages.2.blocks.2.branch.norm1.bias", 4),
        ("stages.2.blocks.3.branch.norm1.bias", 3),
        ("stages.2.blocks.8.branch.conv3.weight", 2),
        ("stages.3.downsample.conv.weight", 1),
        ("stages.3.blocks.1.branch.conv3.weight", 1),
        ("head.norm.weight", 0),
        ("head.fc.weight", 0),
    ],
)
def test_the_factor_of_each_layer(name, power):
    assert lr_scale(name, (3, 3, 9, 3), 0.7) == 0.7**power


def test_the_official_groups_of_the_larger_networks():
    # 12 groups besides stem and head; ResNet-50's stages of 4 and 6 blocks have one and two.
    assert lr_scale("stem.conv.weight", (3, 3, 27, 3), 0.5) == 0.5**13
    assert lr_scale("stages.2.blocks.26.branch.conv1.weight", (3, 3, 27, 3), 0.5) == 0.5**2
    assert lr_scale("stages.1.blocks.3.shortcut.conv.weight", (3, 4, 6, 3), 0.5) == 0.5**4
    assert lr_scale("stages.2.blocks.3.branch.conv1.weight", (3, 4, 6, 3), 0.5) == 0.5**2


def test_the_optimizer_gets_each_layers_rate_at_every_step():
    config = ModelConfig(depths=(1, 4), width=4, num_classes=3)
    recipe = FINE_TUNE.replace(lr=1e-2, epochs=2)
    network, start = ModernResNet(config), Start(weights="x", layer_decay=0.5)
    trainer = Trainer(network, recipe, steps_per_epoch=2, device=CPU, start=start)
    names = {parameter: name for name, parameter in trainer.model.named_parameters()}
    images, targets = torch.randn(4, 3, 32, 32), torch.eye(3)[[0, 1, 2, 0]]
    for step, share in enumerate((1.0, 0.5 + 0.5**1.5)):
        trainer.step(step, images, targets)
        rates = {names[p]: g["lr"] for g in trainer.optimizer.param_groups for p in g["params"]}
        assert rates.keys() == set(names.values())
        for name, rate in rates.items():
            # The stem, the first stage, the second (one group of four), the head.
            power = {"stem": 3, "stages.0": 2, "stages.1": 1, "head": 0}
            expected = next(n for start, n in power.items() if name.startswith(start))
            assert rate == pytest.approx(1e-2 * share * 0.5**expected, rel=1e-12), name
    groups = trainer.optimizer.param_groups
    decays = {names[p]: group["weight_decay"] for group in groups for p in group["params"]}
    assert decays["head.fc.bias"] == decays["stem.norm.weight"] == 0
    assert decays["head.fc.weight"] == decays["stem.conv.weight"] == 1e-8
    for group in groups:  # as a recording needs them
        group["lr"] = torch.zeros(())
    trainer._set_rate(1.0)
    assert all(float(group["lr"]) == pytest.approx(group["lr_scale"]) for group in groups)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_parameter_of_every_variant_has_a_rate(name):
    config = VARIANTS[name].replace(width=4, groups=1, group_width=None, num_classes=3)
    network = ModernResNet(config)
    freeze(network, 1)
    groups = build_optimizer(network, FINE_TUNE, Start(weights="x")).param_groups
    moving = {p for p in network.parameters() if p.requires_grad}
    listed = [p for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == moving
    scales = sorted({group["lr_scale"] for group in groups})
    assert scales == pytest.approx([0.7**n for n in range(len(scales))][::-1])


# -- sources of weights ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("convnext_tiny", "timm"),
        ("resnet50", "resnet"),
        ("convnext_tiny", "official"),
        ("convnextv2_atto", "timm"),
    ],
)
def test_published_files_are_recognized(name, target, tmp_path):
    network = ModernResNet((VARIANTS | FURTHER)[name].replace(num_classes=7))
    path = tmp_path / "published.pth"
    torch.save({"model": export_state_dict(network.state_dict(), network.config, target)}, path)
    begin = read_start(Start(weights=str(path)))
    assert begin.network == name
    assert begin.source == str(path)
    config = begin.config.replace(num_classes=5, in_channels=1)
    fresh = ModernResNet(config)
    begin.load_into(fresh, tuple("abcde"))
    weights, own = fresh.state_dict(), network.state_dict()
    assert torch.equal(
        weights["stages.1.blocks.0.branch.conv1.weight"],
        own["stages.1.blocks.0.branch.conv1.weight"],
    )
    torch.testing.assert_close(weights["stem.conv.weight"][:, 0], own["stem.conv.weight"].sum(1))


def test_a_name_in_timm_loads_its_pretrained_weights(monkeypatch):
    import timm

    asked = []
    monkeypatch.setattr(weights, "_hub_answers", lambda: False)

    def create(name, pretrained):
        asked.append((name, pretrained))
        assert weights.constants.HF_HUB_OFFLINE  # no minute of retries
        return whole(name, pretrained=False)

    whole = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    begin = read_start(Start(weights="timm:convnext_tiny.fb_in1k"))
    assert asked == [("convnext_tiny.fb_in1k", True)]
    assert begin.network == "convnext_tiny"
    assert re.fullmatch(r"[0-9a-f]{64}", begin.sha256)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: 1 / 0)
    with pytest.raises(RefusedError, match=r"could not be loaded \(division by zero\): check"):
        read_start(Start(weights="convnext_tiny"))


def test_weights_that_are_no_start_are_refused_in_a_sentence(unnamed, tmp_path):
    def why(weights, network=None):
        with pytest.raises(RefusedError) as refused:
            read_start(Start(weights=str(weights), network=network))
        return str(refused.value)

    assert "a folder without weights.safetensors" in why(tmp_path)
    assert "does not exist" in why(tmp_path / "none.safetensors")
    assert "Did you mean 'convnext_tiny'?" in why("convnext_tin")
    assert "which does not exist: use a file" in why("some/where")
    assert "records its network: omit --step" in why(unnamed, VARIANTS["resnet50"])
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    assert "add --step KEY" in why(bare)
    assert "do not fit the config" in why(bare, VARIANTS["resnet50"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--layer-decay", "0.5"], "--layer-decay only applies to fine-tuning: add --weights"),
        (["--frozen-stages", "0"], "--frozen-stages only applies to fine-tuning: add --weights"),
        (["--weights", "x.pth", "--layer-decay", "0"], "--layer-decay is 0.0; use a number over 0"),
        (["--weights", "x.pth", "--frozen-stages", "-1"], "--frozen-stages is -1; use 0 or more"),
        (["--weights", "x.pth"], "x.pth does not exist"),
        (["--weights", "UNNAMED", "--frozen-stages", "5"], "has 4 stages; use 0 to 4"),
        (["--weights", "UNNAMED", "--step", "gelu"], "records its network: omit --step"),
        (["--weights", "x.pth", "--step", "gelo"], "step of resnet50"),
    ],
)
def test_the_command_refuses_what_cannot_be_tuned(options, sentence, unnamed, tmp_path):
    options = [str(unnamed) if word == "UNNAMED" else word for word in options]
    words = ["train", *options, "--scale", "pocket", "--output", str(tmp_path / "run")]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 2
    assert sentence in " ".join(found.output.split())
    assert not (tmp_path / "run" / "run.json").exists()


def test_folders_are_named_after_the_weights(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {
        "models/pets.pth": "pets",
        "timm:convnext_tiny.fb_in1k": "timm-convnext_tiny.fb_in1k",
        str(base): base.name,
        str(base / "weights_ema.safetensors"): base.name,
    }
    assert {weights: Start(weights=weights).name for weights in names} == names
