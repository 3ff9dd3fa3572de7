"""State dicts of training programs: wrapped, prefixed, in files of torch.save."""

import argparse
import io
import os
import pickle
import tarfile
import warnings

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import models
from models import VARIANTS, ModelConfig, ModernResNet
from models.files import WeightsFileError, read_weights
from models.weights import check_weights, convert_state_dict, export_state_dict

CONFIG = VARIANTS["convnext_tiny"].replace(depths=(1, 1), width=8, num_classes=5)
NETWORK = ModernResNet(CONFIG)
OURS = NETWORK.state_dict()
TIMMS = export_state_dict(OURS, CONFIG, "timm")


def prefixed(prefix, state=TIMMS):
    return {f"{prefix}{key}": value for key, value in state.items()}


def compiled_blocks(state):
    return {key.replace("blocks.0.", "blocks.0._orig_mod."): state[key] for key in state}


@pytest.mark.parametrize(
    "saved",
    [
        OURS,
        prefixed("module."),
        prefixed("_orig_mod.", OURS),
        prefixed("module._orig_mod."),
        prefixed("_orig_mod.module.", OURS),
        prefixed("model."),
        prefixed("module.module."),
        compiled_blocks(OURS),
        {"state_dict": TIMMS, "epoch": 3, "arch": "convnext_tiny"},
        {"model": OURS, "optimizer": {"state": {}}, "args": argparse.Namespace(lr=1)},
        {"model": {"state_dict": prefixed("module._orig_mod.")}},
        {"model_ema": TIMMS, "model": {key: torch.zeros(1) for key in TIMMS}},
        {"state_dict_ema": TIMMS, "state_dict": {}},
        {"model_ema": None, "model": TIMMS},
        {"model_state_dict": OURS, "loss": 0.5},
        {"model_ema": AveragedModel(NETWORK).state_dict()},
    ],
)
def test_what_training_programs_save_is_converted(saved):
    converted = convert_state_dict(saved, CONFIG)
    assert converted.keys() == OURS.keys()
    assert all(torch.equal(converted[key], OURS[key]) for key in OURS)


@pytest.mark.parametrize("form", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ["a.pth.tar", "a.pth", "pytorch_model.bin"])
def test_files_of_torch_save_are_read(tmp_path, name, form):
    path = tmp_path / name
    saved = {
        "state_dict": prefixed("module."),
        "args": argparse.Namespace(lr=0.1, output="out"),
        "optimizer": torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    }
    torch.save(saved, path, _use_new_zipfile_serialization=form)
    tensors, config, facts = read_weights(path)
    assert (config, facts) == (None, {"part": "state_dict"})
    converted = convert_state_dict(tensors, CONFIG)
    assert all(torch.equal(converted[key], OURS[key]) for key in OURS)
    with pytest.raises(WeightsFileError, match=r"no config: .* ModernResNet\(config\)"):
        models.load(path)


class Planted:
    """Unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("form", [True, False], ids=["zip", "legacy"])
def test_nothing_of_a_file_is_run(tmp_path, form):
    planted = tmp_path / "planted"
    path = tmp_path / "a.pth"
    torch.save({**OURS, "x": Planted(str(planted))}, path, _use_new_zipfile_serialization=form)
    assert_refused(path, r"could run code when loaded: .* weights_only=False")
    path.write_bytes(pickle.dumps({"model": Planted(str(planted))}))
    assert_refused(path, "another kind of pickle")
    torch.save(NETWORK, path, _use_new_zipfile_serialization=form)
    assert_refused(path, r"\(models.network.ModernResNet\)")
    assert not planted.exists()
    torch.load(path, weights_only=False)  # what the sentence proposes does read it


def assert_refused(path, sentence):
    with warnings.catch_warnings(), pytest.raises(WeightsFileError, match=sentence) as error:
        warnings.simplefilter("error")
        read_weights(path)
    assert str(error.value).startswith(f"{path} is ")
    assert "\n" not in str(error.value)


def test_other_files_are_refused_by_what_they_are(tmp_path):
    path = tmp_path / "a.pth.tar"
    whole = io.BytesIO()
    torch.save(OURS, whole)
    whole = whole.getvalue()
    for content, sentence in (
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b'{"metadata": {}, "weight_map": {}}', "a JSON file"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08\x00" + bytes(40), "compressed with gzip"),
        (whole[:-200], "damaged torch.save file"),
        (whole[:300], "damaged torch.save file"),
        (b"PK\x03\x04 and no more", "damaged torch.save file"),
        (b"\x80\x02 and no more", "damaged torch.save file"),
        (pickle.dumps({"a": 1}), "another kind of pickle"),
        (
            b"anything else",
            "is not a safetensors file, or is damaged; use a safetensors or torch.save file",
        ),
    ):
        path.write_bytes(content)
        assert_refused(path, sentence)
    for other, sentence in ((torch.ones(3), "a Tensor in it"), ([OURS], "a list in it")):
        torch.save(other, path)
        assert_refused(path, sentence)
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    assert_refused(path, "a tar archive")
    np.savez(path.with_suffix(".npz"), a=np.ones(2))
    assert_refused(path.with_suffix(".npz"), "a zip archive")
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
    torch.export.save(program, path.with_suffix(".pt2"))
    assert_refused(path.with_suffix(".pt2"), r"a torch\.export program")


def test_a_checkpoint_within_itself_ends():
    saved = {}
    saved["model"] = saved
    with pytest.raises(ValueError, match="are missing"):
        convert_state_dict(saved, CONFIG)


@pytest.mark.parametrize(
    "saved", [{}, {"state_dict": {}}, {"epoch": 3, "model": {"module": {}}, "optimizer": {}}]
)
def test_a_state_dict_with_nothing_in_it_is_said_to_hold_nothing(saved):
    with pytest.raises(ValueError, match="these weights have no tensors"):
        convert_state_dict(saved, CONFIG)


def test_an_empty_average_is_no_reason_to_leave_out_the_weights():
    weights = ModernResNet(CONFIG).state_dict()
    saved = {"state_dict_ema": {}, "state_dict": weights}
    assert convert_state_dict(saved, CONFIG).keys() == weights.keys()


def test_keys_that_clash_or_are_none_are_refused():
    key = next(iter(OURS))
    with pytest.raises(ValueError, match="twice, with a prefix and without"):
        convert_state_dict({**OURS, f"module.{key}": OURS[key]}, CONFIG)
    with pytest.raises(ValueError, match="have the key 0"):
        convert_state_dict({**OURS, 0: OURS[key]}, CONFIG)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t * torch.nan, "not finite"),
        (lambda t: t.fill_(-torch.inf), "not finite"),
        (lambda t: t.double() * 1e300, "not finite"),  # in float32
        (lambda t: t.to(torch.complex64), "is complex64 in these weights"),
        (lambda t: t.bool(), "is bool in these weights"),
        (lambda t: t.to(torch.int8), "is int8 in these weights"),
        (lambda t: t.to_sparse(), "is float32, sparse_coo in these weights"),
        (lambda t: t.tolist(), "use a tensor"),
        (lambda _: None, "is None in these weights"),
        (lambda t: t[:1], r"has shape \(1, 3, 4, 4\) in these weights and \(8, 3, 4, 4\)"),
    ],
)
def test_values_that_are_no_weights_are_refused_with_their_key(change, sentence):
    state = {**OURS, "stem.conv.weight": change(OURS["stem.conv.weight"].clone())}
    with pytest.raises(ValueError, match=f"stem.conv.weight'? .*{sentence}|{sentence}") as error:
        convert_state_dict(state, CONFIG)
    assert "stem.conv.weight" in str(error.value)
    assert len(str(error.value)) < 300


def test_weights_that_are_not_finite_are_not_exported_to_others():
    state = {**OURS, "head.fc.bias": OURS["head.fc.bias"] + torch.inf}
    with pytest.raises(ValueError, match=r"'head\.fc\.bias' has values .* not finite"):
        export_state_dict(state, CONFIG, "timm")


def test_counts_of_batches_may_be_whole_numbers_of_any_kind():
    config = ModelConfig(depths=(1,), width=8, num_classes=5)
    state = ModernResNet(config).state_dict()
    check_weights(state)
    convert_state_dict({**state, "stem.norm.num_batches_tracked": torch.tensor(3.0)}, config)
    with pytest.raises(ValueError, match="is bool"):
        convert_state_dict({**state, "stem.norm.num_batches_tracked": torch.tensor(True)}, config)
