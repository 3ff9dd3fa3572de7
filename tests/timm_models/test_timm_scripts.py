"""timm's train.py, validate.py and benchmark.py on our networks.

The scripts are in no package: those of a checkout run where ``TIMM_CHECKOUT`` names its folder.
What they do with a network is done here with timm's own functions, in the scripts' order.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.layers import convert_sync_batchnorm
from timm.loss import SoftTargetCrossEntropy
from timm.models import (
    create_model,
    load_checkpoint,
    model_parameters,
    resume_checkpoint,
    safe_model_name,
)
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import CheckpointSaver, ModelEmaV3, accuracy, dispatch_clip_grad
from timm.utils.model import reparameterize_model
from typer.testing import CliRunner

import models
import roadmap.timm_models  # noqa: F401 - the names below
from roadmap.cli import app

ROOT = Path(models.__file__).parents[1]
CHECKOUT = os.environ.get("TIMM_CHECKOUT")
NAME = "roadmap_resnet50_kernel_7"
FIELDS = {"kernel_size": 3, "depths": [1, 1], "width": 8}
COLORS = ((220, 30, 30), (30, 220, 30), (30, 30, 220))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three classes of plain colors, 8 pictures each to train on and 4 to validate."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, pictures in (("train", 8), ("validation", 4)):
        for label, color in enumerate(COLORS):
            (root / split / str(label)).mkdir(parents=True)
            for picture in range(pictures):
                pixels = np.asarray(color) + random.integers(-30, 30, (40, 40, 3))
                Image.fromarray(pixels.astype("uint8")).save(
                    root / split / str(label) / f"{picture}.png"
                )
    return root


def loader(folder: Path, split: str, config: dict, **options):
    return create_loader(
        create_dataset("", root=str(folder), split=split, is_training=split == "train"),
        input_size=config["input_size"],
        batch_size=12,
        is_training=split == "train",
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        num_workers=1,
        device=torch.device("cpu"),
        **options,
    )


def top1(network: torch.nn.Module, batches) -> float:
    network.eval()
    with torch.inference_mode():
        scores = [accuracy(network(images), labels)[0].item() for images, labels in batches]
    return sum(scores) / len(scores)


def test_a_run_as_in_timms_scripts(folder, tmp_path):
    torch.manual_seed(0)
    network = create_model(
        NAME,
        pretrained=False,
        in_chans=3,
        num_classes=3,
        drop_rate=0.0,
        drop_path_rate=0.1,
        drop_block_rate=None,
        global_pool=None,
        bn_momentum=None,
        scriptable=False,
        checkpoint_path="",
        **FIELDS,
    )
    with torch.no_grad():  # --head-init-scale, --head-init-bias
        network.get_classifier().weight.mul_(0.1)
        torch.nn.init.constant_(network.get_classifier().bias, 0.0)
    network.set_grad_checkpointing(enable=True)
    network.to(device="cpu").to(memory_format=torch.channels_last)
    config = resolve_data_config({"img_size": 32}, model=network)
    assert config["input_size"] == (3, 32, 32)

    optimizer = create_optimizer_v2(network, "adamw", lr=0.02, weight_decay=0.05, layer_decay=0.9)
    # Stem, two blocks, classifier; each with and without decay, but for the classifier alone.
    scales = sorted({round(group["lr_scale"], 3) for group in optimizer.param_groups})
    assert scales == [0.729, 0.81, 0.9, 1.0]
    average = ModelEmaV3(network, decay=0.5)
    train = loader(folder, "train", config, no_aug=True)
    validation = list(loader(folder, "validation", config))
    schedule, epochs = create_scheduler_v2(
        optimizer, "cosine", num_epochs=12, warmup_epochs=0, updates_per_epoch=len(train)
    )
    saver = CheckpointSaver(
        network, optimizer, model_ema=average, checkpoint_dir=str(tmp_path), max_history=1
    )
    criterion, update = SoftTargetCrossEntropy(), 0
    for epoch in range(epochs):
        network.train()
        for images, labels in train:
            targets = torch.nn.functional.one_hot(labels, 3).float()
            criterion(network(images), targets).backward()
            dispatch_clip_grad(model_parameters(network, exclude_head=True), 0.1, mode="agc")
            optimizer.step()
            optimizer.zero_grad()
            average.update(network, step=update)
            update += 1
            schedule.step_update(num_updates=update)
        schedule.step(epoch + 1)
    score = top1(network, validation)
    saver.save_checkpoint(epochs - 1, metric=score)
    assert score == 100.0  # plain colors: a network that learns at all tells them apart

    resumed = create_model(NAME, num_classes=3, **FIELDS)
    optimizer = create_optimizer_v2(resumed, "adamw", lr=0.02, weight_decay=0.05, layer_decay=0.9)
    assert resume_checkpoint(resumed, str(tmp_path / "last.pth.tar"), optimizer) == epochs
    assert optimizer.state
    averaged = create_model(NAME, num_classes=3, **FIELDS)
    load_checkpoint(averaged, str(tmp_path / "last.pth.tar"), use_ema=True)
    images = validation[0][0]
    network.eval(), resumed.eval(), averaged.eval(), average.eval()
    with torch.no_grad():
        torch.testing.assert_close(resumed(images), network(images))
        torch.testing.assert_close(averaged(images), average.module(images))
        torch.testing.assert_close(reparameterize_model(resumed)(images), network(images))
    assert safe_model_name(NAME) == NAME
    assert sum(
        isinstance(module, torch.nn.SyncBatchNorm)
        for module in convert_sync_batchnorm(resumed).modules()
    )


#: A script that uses timm and knows nothing of us; a function of its own runs in another process.
STAND_IN = """
import argparse, multiprocessing, sys

def double(number):
    return 2 * number

if __name__ == "__main__":
    import timm, torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    network = timm.create_model(parser.parse_args().model, num_classes=4, depths=[1], width=8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(tuple(network(torch.zeros(2, 3, 32, 32)).shape), pool.map(double, [1]), sys.path[0])
"""


def run_script(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "roadmap", "timm", str(script), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def test_any_script_finds_our_networks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STAND_IN)
    process = run_script(script, "--model", NAME)
    assert process.stdout == f"(2, 4) [2] {tmp_path}\n", process.stderr


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """Writes files and runs ``script.py`` among them in this process, which stays as it is."""

    def run(files: dict[str, str], *arguments: str):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return CliRunner().invoke(app, ["timm", str(tmp_path / "script.py"), *arguments])

    copies = [p for p in sys.path if Path(p, "models", "__init__.py").is_file() and Path(p) != ROOT]
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in copies])
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(models, "__path__", list(models.__path__))
    before = set(sys.modules)
    yield run
    for name in set(sys.modules) - before:
        if name.startswith("models."):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            vars(sys.modules.get(parent, models)).pop(child, None)


@pytest.mark.parametrize("name", ["nowhere.py", ".", "long" * 2000])
def test_what_is_no_file_is_refused(name):
    result = CliRunner().invoke(app, ["timm", name])
    assert result.exit_code == 2
    assert "does not exist or is not a file; use the path of a Python script" in result.stderr
    assert len(result.stderr) < 1000


def test_a_scripts_arguments_are_its_own(run_here):
    code = "import sys; print(sys.argv[1:])"
    assert run_here({"script.py": code}, "--help", "-b", "1", "--", "-m", "a").stdout == (
        "['--help', '-b', '1', '--', '-m', 'a']\n"
    )


@pytest.mark.parametrize(
    ("theirs", "init"), [("their_a", {}), ("their_b", {"models/__init__.py": ""})]
)
def test_a_projects_own_networks_and_ours_in_one_script(run_here, theirs, init):
    """As the official ConvNeXt's ``main.py``, which registers its networks and asks timm."""
    network = f"""
import torch
from timm.models import register_model

@register_model
def {theirs}(pretrained=False, **arguments):
    return torch.nn.Flatten()
"""
    script = f"""
import timm
import models.convnext
from models import convnext
ours = timm.create_model("{NAME}", depths=[1], width=8)
print(convnext.{theirs}(), timm.create_model("{theirs}"), ours.num_features)
"""
    result = run_here({"script.py": script, "models/convnext.py": network, **init})
    flatten = "Flatten(start_dim=1, end_dim=-1)"
    assert result.stdout == f"{flatten} {flatten} 8\n", result.exception


@pytest.mark.parametrize(
    ("theirs", "code"),
    [
        ("models/__init__.py", "from models import build"),
        ("models/__init__.py", "import models; models.build()"),
        ("models.py", "from models import build"),
        ("models/config.py", "from models.config import build"),
        ("models/config.py", "import models.config; models.config.build()"),
        ("models/network/__init__.py", "import models.network.build"),
        ("models/network/build.py", "from models.network import build"),
        ("models/network/build.py", "import models.network.build"),
        ("models/kernels/depthwise/build.py", "import models.kernels.depthwise.build"),
    ],
)
def test_a_module_that_ours_hides_is_named(run_here, tmp_path, theirs, code):
    result = run_here({theirs: "def build(): pass", "script.py": code})
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    where = tmp_path / theirs.removesuffix("/build.py")
    assert f" hides {where}: rename the latter" in result.stderr


@pytest.mark.parametrize(
    "code", ["import models.nothing", "from models import nothing", "import json; json.nothing"]
)
def test_a_scripts_own_faults_stay_pythons(run_here, code):
    result = run_here({"script.py": code, "models/mine.py": ""})
    assert isinstance(result.exception, ImportError | AttributeError)
    assert result.stderr == ""


def test_the_end_of_a_file_is_no_end_of_typing(run_here):
    """As torch says of an empty checkpoint; click would say "Aborted!"."""
    result = run_here({"script.py": "raise EOFError('Ran out of input')"})
    assert result.exit_code == 1
    assert result.stderr.endswith("EOFError: Ran out of input\n")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("timm.create_model(sys.argv[1], kernel=9)", "Error: the config has no field 'kernel'"),
        ("timm.create_model(sys.argv[1], pretrained=True)", "has no pretrained weights"),
        (
            "timm.create_model(sys.argv[1], pretrained=True, "
            "pretrained_cfg_overlay={'file': sys.argv[0]})",
            "script.py cannot be read",
        ),
        (None, "script.py does not exist or is not a file"),
    ],
)
def test_a_wrong_model_or_script_ends_with_a_sentence(run_here, code, sentence):
    result = run_here({"script.py": f"import sys, timm\n{code}\n"} if code else {}, NAME)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(not CHECKOUT, reason="TIMM_CHECKOUT names no checkout of timm's repository")
def test_timms_scripts(folder, tmp_path):
    def script(name: str, *arguments: str) -> str:
        process = run_script(
            Path(CHECKOUT) / f"{name}.py", "--model", NAME, "--device", "cpu", *arguments
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    fields = [f"{name}={value}".replace(" ", "") for name, value in FIELDS.items()]
    common = f"--data-dir {folder} --num-classes 3 --img-size 32 -b 12 -j 1".split()
    common += ["--model-kwargs", *fields]
    options = "--epochs 1 --warmup-epochs 0 --opt adamw --lr 0.01 --layer-decay 0.9 --model-ema"
    more = "--grad-checkpointing --channels-last --drop 0.1 --drop-path 0.1 --experiment run"
    script("train", *common, *options.split(), *more.split(), "--output", str(tmp_path))
    last = tmp_path / "run" / "last.pth.tar"
    for choice in ([], ["--use-ema"], ["--torchscript"], ["--reparam"]):
        output = script("validate", *common, "--checkpoint", str(last), *choice)
        assert 0 <= json.loads(output.split("--result")[1])["top1"] <= 100
    size = ["--img-size", "32", "-b", "2", "--num-warm-iter", "1", "--num-bench-iter", "5"]
    results = json.loads(script("benchmark", *size).split("--result")[1])
    assert results["infer_samples_per_sec"] > 0
    assert results["train_samples_per_sec"] > 0
    assert results["param_count"] == round(
        sum(p.numel() for p in timm.create_model(NAME, device="meta").parameters()) / 1e6, 2
    )
