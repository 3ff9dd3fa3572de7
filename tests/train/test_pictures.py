"""``predict PATH... --weights FILE``: pictures in files and folders."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from training_runs import tiny_settings
from typer.testing import CliRunner

from models import ModernResNet
from models.files import read_weights
from models.variants import VARIANTS
from roadmap.cli import app
from roadmap.train import pictures
from roadmap.train.pictures import classify
from roadmap.train.run import train
from roadmap.train.settings import Start


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits-run"
    train(tiny_settings(folder, step="kernel_7", changes={"epochs": 5, "lr": 4e-3}), quiet=True)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Ten digits in two folders, with a file of another kind and a hidden one beside them."""
    digits = load_digits()
    root = tmp_path / "pictures"
    for index in range(10):
        place = root / ("even" if index % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.rint(digits.images[index] * 255 / 16).astype(np.uint8))
        image.save(place / f"{digits.target[index]}.png")
    (root / "notes.txt").write_text("not a picture")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.png").write_bytes(b"not a picture")
    return root


def command(*words):
    return CliRunner().invoke(app, ["predict", *map(str, words), "--device", "cpu"])


def test_a_folder_of_pictures_as_json(run, folder):
    found = command(folder, "--weights", run, "--format", "json")
    assert found.exit_code == 0
    rows = json.loads(found.stdout)
    assert len(rows) == 10 * 5
    names = sorted(str(path) for path in folder.glob("[eo]*/*.png"))
    assert [row["picture"] for row in rows] == [name for name in names for _ in range(5)]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5] * 10
    first = rows[::5]
    right = sum(row["class"] == Path(row["picture"]).name[0] for row in first)
    assert right >= 7
    for start in range(0, 50, 5):
        shares = [row["probability"] for row in rows[start : start + 5]]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-6


def test_the_probabilities_are_those_of_the_validation_images(run, folder, monkeypatch):
    # The network sees what it saw in validation, whatever the number of pictures at once.
    from roadmap.train.data import in_memory
    from roadmap.train.data.batches import open_data
    from roadmap.train.data.sources import open_source
    from roadmap.train.settings import recorded_view

    monkeypatch.setattr(pictures, "BATCH_SIZE", 3)
    rows, failed = classify([folder], Start(weights=str(run)), device="cpu")
    assert failed == 0
    split = folder.parent / "data"
    for part in ("train", "val"):
        (split / part).mkdir(parents=True)
        for name in ("even", "odd"):
            (split / part / name).symlink_to(folder / name, target_is_directory=True)
    facts = read_weights(run / "weights.safetensors").facts
    # Read on demand, so by the same resampling; in memory, enlarging is done by the device.
    monkeypatch.setattr(in_memory, "load", lambda *_given: None)
    view = recorded_view(facts["recipe"])
    data = open_data(open_source(split), view, device="cpu", seed=0, workers=0)
    ((images, _labels),) = data.val_batches(10)
    from models import load

    with torch.inference_mode():
        shares = load(run / "weights.safetensors")(images).softmax(1)
    for place, row in enumerate(rows[::5]):
        assert row["probability"] == pytest.approx(float(shares[place].max()), abs=1e-5)
        assert row["index"] == int(shares[place].argmax())


def test_bad_pictures_are_a_sentence_each_and_do_not_stop_the_rest(run, folder, tmp_path):
    (folder / "even" / "00.png").write_bytes(b"not a picture")
    (folder / "even" / "empty.jpg").touch()
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    paths = [folder, pipe, tmp_path / "none.png", tmp_path / ("x" * 300)]
    found = command(*paths, "--weights", run, "--format", "csv")
    assert found.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert len({row["picture"] for row in rows}) == 10
    lines = found.stderr.splitlines()
    assert len(lines) == 6
    for line, why in zip(
        lines,
        ("not a readable image", "is empty", "not a regular file", "does not exist", "too long"),
        strict=False,
    ):
        assert why in line
    assert lines[-1] == "Error: 5 pictures could not be read."
    nothing = command(tmp_path / "none.png", "--weights", run)
    assert (nothing.exit_code, nothing.stdout) == (1, "")  # no table without rows


def test_a_name_that_is_no_unicode_is_shown_escaped(run, folder):
    odd = folder / "odd" / os.fsdecode(b"\xff.png")
    (folder / "odd" / "1.png").rename(odd)
    found = command(odd, "--weights", run)
    assert found.exit_code == 0
    assert r"\udcff.png" in found.stdout


def test_classes_without_names_are_numbered_or_imagenets(folder, run, tmp_path):
    tensors, config, _ = read_weights(run / "weights.safetensors")
    path = tmp_path / "plain.safetensors"
    save_file(tensors, path, metadata={"config": config.to_json()})
    said = []
    rows, _ = classify([folder], Start(weights=str(path)), device="cpu", say=said.append)
    assert {row["class"] for row in rows} <= set("0123456789")
    assert said == [f"{path} has no class names: classes are numbered from 0"]

    large = ModernResNet(config.replace(num_classes=1000))
    save_file(large.state_dict(), path, metadata={"config": large.config.to_json()})
    said.clear()
    rows, _ = classify(
        [folder / "odd" / "1.png"], Start(weights=str(path)), image_size=32, device="cpu",
        say=said.append,
    )  # fmt: skip
    assert len(rows) == 5
    assert all(not row["class"].isdecimal() for row in rows)
    assert said == [f"{path} has no class names: assuming those of ImageNet-1K"]


def test_classes_named_as_imagenets_folders_get_a_word(folder, run, tmp_path):
    tensors, config, _ = read_weights(run / "weights.safetensors")
    ids = [f"n{number:08d}" for number in (2410509, 2123045, 2129165, 7920052, 1882714, 2106662)]
    tensors = {name: value[:6] if "head.fc" in name else value for name, value in tensors.items()}
    path = tmp_path / "animals.safetensors"

    def rows_of(names):
        metadata = {
            "config": config.replace(num_classes=6).to_json(),
            "class_names": json.dumps(names),
        }
        save_file(tensors, path, metadata=metadata)
        return classify([folder / "odd"], Start(weights=str(path)), device="cpu")[0]

    words = ["bison", "tabby", "lion", "espresso", "koala", "German shepherd"]
    word = dict(zip(ids, words, strict=True))
    assert all(row["word"] == word[row["class"]] for row in rows_of(ids))
    assert "word" in command(folder / "odd", "--weights", path).stdout
    assert all("word" not in row for row in rows_of([*ids[:5], "n99999999"]))


def test_published_weights_keep_their_classifier(folder, tmp_path):
    network = ModernResNet(VARIANTS["convnext_tiny"].replace(num_classes=3)).eval()
    path = tmp_path / "tiny.pth"
    torch.save(network.state_dict(), path)
    rows, _ = classify(
        [folder / "odd" / "1.png"], Start(weights=str(path)), image_size=64, device="cpu"
    )
    assert {row["class"] for row in rows} == {"0", "1", "2"}
    assert sum(row["probability"] for row in rows) == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["FOLDER"], "add --weights FILE"),
        (["--weights", "RUN"], "add PATH, a picture or a folder"),
        (["FOLDER", "--weights", "RUN", "--data", "digits"], "--data does not apply to pictures"),
        (["FOLDER", "--weights", "RUN", "--best"], "--best does not apply to pictures"),
        (["FOLDER", "--weights", "RUN", "--level", "a=b"], "--level does not apply to pictures"),
        (["FOLDER", "--weights", "RUN", "--step", "gelu"], "records its network: omit --step"),
        (["FOLDER", "--weights", "RUN", "--image-size", "0"], "--image-size is 0; use 1 to"),
        (["FOLDER", "--weights", "FOLDER"], "a folder without weights.safetensors"),
        (["EMPTY", "--weights", "RUN"], "no pictures in"),
        (["--step", "gelu"], "--device only applies to pictures"),
    ],
)
def test_what_cannot_be_classified_is_refused(words, sentence, run, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    places = {"FOLDER": folder, "RUN": run, "EMPTY": tmp_path / "empty"}
    found = command(*(places.get(word, word) for word in words))
    assert found.exit_code == 2
    assert sentence in " ".join(found.stderr.split())
    assert found.stdout == ""


def test_a_prediction_of_the_study_needs_its_data():
    found = CliRunner().invoke(app, ["predict", "--step", "gelu"])
    assert found.exit_code == 2
    assert "add --data NAME" in found.stderr
