"""A run whose data changes on the way: what is refused, accepted, matched by name, and recorded."""

from types import SimpleNamespace

import pytest
from cases import cats_and_dogs, class_folders, class_table, damaged_picture, write_tables
from training_runs import fail_reading_at, outcome, tiny_settings
from typer.testing import CliRunner

from models.files import weights_content
from models.network import ModernResNet
from roadmap.cli import app
from roadmap.errors import RefusedError, TrainingError
from roadmap.recipes import RECIPES
from roadmap.runs.record import read_record
from roadmap.steps import ROADMAPS
from roadmap.train.data import damage, in_memory, sampling
from roadmap.train.data.batches import DataError, open_data
from roadmap.train.data.sources import open_source
from roadmap.train.pocket import pocket_recipe
from roadmap.train.run import train

RECIPE = pocket_recipe(RECIPES["convnext"])
#: Two epochs of four steps of the 24 pictures.
SHORT = {"epochs": 2, "warmup_epochs": 0, "batch_size": 6, "mixup": 0.0, "cutmix": 0.0}


@pytest.fixture
def streamed_only(monkeypatch):
    monkeypatch.setattr(in_memory.load, "__defaults__", (0,))


def settings(folder, data, **options):
    return tiny_settings(
        folder, step="kernel_7", data=str(data), workers=0, changes=SHORT, **options
    )


def stopped_at(step, run, data):
    """Train in ``run`` until a checkpoint after ``step`` steps."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError):
        fail_reading_at(patch, step)
        train(settings(run, data, checkpoint_every=0))


@pytest.fixture
def pets(tmp_path):
    return cats_and_dogs(tmp_path / "pets")


@pytest.mark.parametrize("large", [False, True])
def test_a_removed_image_is_refused_then_accepted_and_recorded(large, pets, tmp_path, request):
    if large:
        request.getfixturevalue("streamed_only")
    run = tmp_path / "run"
    stopped_at(3, run, pets)
    before = read_record(run).data_json()
    (pets / "train" / "dog" / "7.png").unlink()
    with pytest.raises(RefusedError) as refused:
        train(settings(run, pets))
    assert "contains a run on different data: data.train_images 24 before, 23 now" in str(
        refused.value
    )
    assert "add --accept-changed-data" in str(refused.value)
    assert read_record(run).data_json() == before
    content = train(settings(run, pets, accept_changed_data=True))
    (change,) = content["data_changes"]
    assert (change["step"], change["before"]["sha256"]) == (3, before["sha256"])
    assert change["after"]["sha256"] == content["data"]["sha256"] != before["sha256"]
    assert content["data"]["train_images"] == 23
    # An epoch keeps its steps, so that the schedule and the checkpoints' numbers stay those of
    # the run; an image comes twice.
    assert (content["steps_per_epoch"], content["steps"]) == (4, 8)
    assert len((run / "metrics.csv").read_text().splitlines()) == 3


def test_a_change_accepted_once_stays_accepted(pets, tmp_path, monkeypatch):
    run = tmp_path / "run"
    stopped_at(3, run, pets)
    (pets / "train" / "dog" / "7.png").unlink()
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="step 3"):
        fail_reading_at(patch, 3)  # before a checkpoint knows of the change
        train(settings(run, pets, accept_changed_data=True))
    content = train(settings(run, pets))
    assert content["status"] == "finished"
    assert [change["step"] for change in content["data_changes"]] == [3]


def test_the_checkpoint_knows_of_the_change_where_run_json_is_lost(pets, tmp_path, monkeypatch):
    run = tmp_path / "run"
    stopped_at(2, run, pets)
    (pets / "train" / "dog" / "7.png").unlink()
    with monkeypatch.context() as patch, pytest.raises(TrainingError):
        fail_reading_at(patch, 3)
        train(settings(run, pets, accept_changed_data=True, checkpoint_every=0))
    (run / "run.json").unlink()
    content = train(settings(run, pets))
    assert [change["step"] for change in content["data_changes"]] == [2]
    assert content["steps_per_epoch"] == 4


def test_a_finished_run_stays_as_it_is(pets, tmp_path, capfd):
    done = train(settings(tmp_path / "run", pets))
    (pets / "train" / "dog" / "7.png").unlink()
    capfd.readouterr()
    assert train(settings(tmp_path / "run", pets, accept_changed_data=True)) == done
    said = " ".join(capfd.readouterr().err.split())
    assert "the data has changed since the run finished: data.train_images 24 before" in said
    assert "recorded in run.json" not in said


def test_a_renamed_folder_with_the_same_content_is_accepted(pets, tmp_path, capfd):
    train(settings(tmp_path / "whole", pets))
    stopped_at(3, tmp_path / "run", pets)
    content = train(settings(tmp_path / "run", pets.rename(tmp_path / "animals")))
    assert content["data"]["name"] == "animals"
    assert "data_changes" not in content
    assert "the data was named pets" in " ".join(capfd.readouterr().err.split())
    assert outcome(tmp_path / "run")["metrics"] == outcome(tmp_path / "whole")["metrics"]


def test_other_classes_are_refused_even_so(pets, tmp_path):
    stopped_at(1, tmp_path / "run", pets)
    (pets / "train" / "cat").rename(pets / "train" / "kitten")
    (pets / "val" / "cat").rename(pets / "val" / "kitten")
    with pytest.raises(RefusedError) as refused:
        train(settings(tmp_path / "run", pets, accept_changed_data=True))
    said = str(refused.value)
    assert "contains a run with different classes: the class names differ" in said
    assert "has 'cat'; only pets has 'kitten'" in said


def tables(root, names, labels):
    column = {"label": (names, labels)}
    return write_tables(root, train=class_table(column), val=class_table(column, 5))


def test_classes_in_another_order_are_matched_by_name(tmp_path, capfd):
    data = tables(tmp_path / "data", ("cat", "dog"), (0, 1))
    train(settings(tmp_path / "whole", data))
    stopped_at(3, tmp_path / "run", data)
    tables(data, ("dog", "cat"), (1, 0))
    content = train(settings(tmp_path / "run", data))
    assert "matched by name" in capfd.readouterr().err
    assert content["data"]["class_names"] == ["cat", "dog"]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_names_that_cannot_be_checked_are_said_to_be(tmp_path, capfd):
    data = tables(tmp_path / "data", ("cat", "dog"), (0, 1))
    stopped_at(1, tmp_path / "run", data)
    tables(data, None, (0, 1))
    train(settings(tmp_path / "run", data, accept_changed_data=True))
    assert "class names cannot be compared" in " ".join(capfd.readouterr().err.split())


def test_a_finished_run_keeps_its_data(pets, tmp_path):
    done = train(settings(tmp_path / "run", pets))
    (pets / "train" / "dog" / "7.png").unlink()
    with pytest.raises(RefusedError, match="contains a run on different data"):
        train(settings(tmp_path / "run", pets))
    assert train(settings(tmp_path / "run", pets, accept_changed_data=True)) == done


def test_the_option_is_on_the_command_line(pets, monkeypatch):
    found = []
    monkeypatch.setattr("roadmap.train.run.train", lambda settings, _notes: found.append(settings))
    for more in ((), ("--accept-changed-data",)):
        CliRunner().invoke(app, ["train", "--data", str(pets), *more])
    assert [each.accept_changed_data for each in found] == [False, True]


def test_more_steps_than_images_fill_bring_images_back():
    order = sampling.epoch_order(0, 0, 23, 6, 0, steps=4)
    assert len(order) == 24
    assert set(order[:23]) == set(range(23))
    plain = sampling.epoch_order(0, 0, 24, 6, 0)
    assert (sampling.epoch_order(0, 0, 24, 6, 0, steps=4) == plain).all()


# -- damaged images -----------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def damaged(tmp_path):
    """Four: in both classes and both splits; two cut short, an empty one, one of another kind."""
    root = damaged_picture(tmp_path / "damaged")
    (root / "train" / "cat" / "2.jpg").write_bytes(b"")
    (root / "val" / "cat" / "1.jpg").write_text("no image")
    cut(root / "val" / "dog" / "3.jpg")
    return root


NAMES = ("train/cat/2.jpg", "train/dog/7.jpg", "val/cat/1.jpg", "val/dog/3.jpg")


@pytest.mark.parametrize("large", [False, True])
def test_all_damaged_images_are_named_before_training(large, damaged, request):
    if large:
        request.getfixturevalue("streamed_only")
    with pytest.raises(DataError) as caught:
        open_data(open_source(damaged), RECIPE, device="cpu", seed=0, workers=0)
    said = str(caught.value)
    assert said.startswith("4 images cannot be read: ")
    assert [str(damaged / name) in said for name in NAMES] == [True] * 4
    assert "\n" not in said


def test_of_many_damaged_images_the_number_is_said(damaged, monkeypatch):
    monkeypatch.setattr(damage, "NAMED", 2)
    with pytest.raises(DataError, match=r"^4 images cannot be read: .*; and 2 more$"):
        open_data(open_source(damaged), RECIPE, device="cpu", seed=0, workers=0)


def test_the_search_for_others_ends_in_time(damaged, monkeypatch):
    ticks = iter((0, 1, 2))
    clock = SimpleNamespace(monotonic=lambda: next(ticks, 99))
    monkeypatch.setattr(damage, "time", clock)
    monkeypatch.setattr(damage, "SECONDS", 2.5)
    monkeypatch.setattr(damage, "BLOCK", 12)
    with pytest.raises(DataError, match=r"^2 images of the first 24 cannot be read: "):
        open_data(open_source(damaged), RECIPE, device="cpu", seed=0, workers=0)


@pytest.mark.usefixtures("streamed_only")
def test_damage_on_the_way_names_all_and_the_run_goes_on(tmp_path):
    """From the error of a streamed run to its end, with a repaired and a removed image."""
    data, run = class_folders(tmp_path / "pets", ending="jpg"), tmp_path / "run"
    first, second = data / "train" / "dog" / "7.jpg", data / "train" / "cat" / "2.jpg"
    whole = {path: path.read_bytes() for path in (first, second)}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as failed:
        once_opened(patch, "run", lambda: [spoil(path) for path in whole])
        train(settings(run, data))
    said = str(failed.value)
    assert "reading the training data failed at step" in said
    assert "2 images cannot be read: " in said
    assert all(str(path) in said for path in whole)
    assert "resume with --accept-changed-data" in said
    first.write_bytes(whole[first])
    second.unlink()
    content = train(settings(run, data, accept_changed_data=True))
    assert content["status"] == "finished"
    assert content["data_changes"][0]["after"]["train_images"] == 23


def once_opened(patch, module, then):
    """Let ``then`` happen once ``module`` has opened and checked the data."""

    def opened(*arguments, **options):
        data = open_data(*arguments, **options)
        then()
        return data

    patch.setattr(f"roadmap.train.{module}.open_data", opened)


def spoil(path):
    """Damage the pixels and keep header, size and end."""
    content = path.read_bytes()
    place = content.index(b"\xff\xda") - 40  # in the tables before the scan
    path.write_bytes(content[:place] + b"\xff\xd8" * 60 + content[place + 120 :])


@pytest.mark.usefixtures("streamed_only")
def test_evaluate_names_damaged_images_too(tmp_path, monkeypatch):
    data = class_folders(tmp_path / "pets", ending="jpg")
    config = ROADMAPS["resnet50"].config("kernel_7", depths=(1,), width=8, num_classes=2)
    content = weights_content(ModernResNet(config).state_dict(), config, recipe=vars(RECIPE))
    (tmp_path / "w.safetensors").write_bytes(b"".join(content))
    spoiled = [data / "val" / "dog" / f"{number}.jpg" for number in (3, 4)]
    once_opened(monkeypatch, "scoring", lambda: [spoil(path) for path in spoiled])
    arguments = ("--weights", str(tmp_path / "w.safetensors"), "--data", str(data))
    done = CliRunner().invoke(app, ["evaluate", *arguments, "--workers", "0", "--device", "cpu"])
    assert done.exit_code == 1, done.output
    assert "Error: 2 images cannot be read: " in done.stderr
    assert all(f"{path} is not a readable image" in done.stderr for path in spoiled)
