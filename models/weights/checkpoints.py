"""State dicts as training programs save them: within other things, prefixed, by ``torch.save``."""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.text import LONGEST_VALUE, said, shortened

#: Names of a state dict within a checkpoint, averaged weights first, as in timm.
WRAPPERS = (
    *("state_dict_ema", "model_ema", "state_dict"),
    *("model_state_dict", "model_state", "model", "module", "net"),
)
MOST_NESTED = 8
#: What DDP, weight averages and Lightning put before every key.
PREFIXES = ("module.", "model.")
#: What torch.compile puts before the keys of any module.
COMPILED = "_orig_mod."
#: What other files begin with, and what they are.
KINDS: dict[bytes, str] = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: run git lfs pull",
    b"\x89HDF": "an HDF5 file, of Keras for one: convert it to a state dict of PyTorch",
    b"GGUF": "a GGUF file: use the weights that it was made from",
    b"\x1f\x8b": "compressed by gzip: decompress it first",
    b"BZh": "compressed by bzip2: decompress it first",
    b"\xfd7zXZ": "compressed by xz: decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: decompress it first",
    b"<": "a web page or XML, not weights: download the file again",
    b"{": "a JSON file, not weights: name the safetensors file beside it",
}
#: Where a tar archive says that it is one, and where a safetensors file's header begins, after the
#: last bytes of its length.
TAR, SAFETENSORS = slice(257, 262), slice(5, 9)


class CheckpointError(ValueError):
    """A file without a state dict that can be read; the sentence completes "FILE is ...".

    It is empty for a file of no kind that is known here, safetensors among them.
    """


def state_dict_of(saved: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The state dict within ``saved``, and under what names: ``model_ema``, say, or nothing."""
    names: list[str] = []
    for _ in range(MOST_NESTED):  # what was unpickled may hold itself
        for name in WRAPPERS:
            if isinstance(saved.get(name), Mapping) and saved[name]:
                saved = saved[name]
                names.append(name)
                break
        else:
            break
    if not any(isinstance(value, torch.Tensor) for value in saved.values()):
        for name in WRAPPERS:
            if isinstance(saved.get(name), Mapping) and not saved[name]:
                return {}, ".".join([*names, name])  # saved with nothing in it
    return saved, ".".join(names)


def with_bare_keys(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """``state_dict`` without the ``PREFIXES`` and ``COMPILED``, nor an average's count.

    Raises ``ValueError`` for a key that is no text, and where two keys become one.
    """
    bare: dict[str, Any] = {}
    for key, value in state_dict.items():
        if not isinstance(key, str):
            raise ValueError(f"these weights have the key {said(key)}: use a state dict")
        name = key.replace(COMPILED, "")
        while name.startswith(PREFIXES):
            name = name.partition(".")[2]
        if name in bare:
            raise ValueError(f"these weights have {said(name)} twice, with a prefix and without")
        bare[name] = value
    if len(bare) > 1 and any(key.startswith(PREFIXES) for key in state_dict):
        bare.pop("n_averaged", None)
    return bare


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], str]:
    """``state_dict_of`` a file of ``torch.save``, on the CPU.

    Reads tensors, plain values and the options that timm and torchvision save beside them, and
    runs no code of the file. Raises ``CheckpointError`` for another file, saying what it is, for
    other Python objects and for a damaged file; ``OSError``.
    """
    _check_kind(Path(path))
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file can end in any
        raise CheckpointError(_why_unread(error)) from None
    if not isinstance(saved, Mapping):
        raise CheckpointError(
            f"a file of torch.save with a {type(saved).__name__} in it: save a state dict"
        )
    state_dict, part = state_dict_of(saved)
    return dict(state_dict), part


def _check_kind(path: Path) -> None:
    """Raise ``CheckpointError`` unless the file is one that ``torch.load`` reads."""
    with path.open("rb") as file:
        head = file.read(TAR.stop)
    if head[SAFETENSORS] == b"\0\0\0{":
        raise CheckpointError("")
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return
    if head.startswith(b"PK"):
        _check_archive(path)
        return
    if not head:
        raise CheckpointError("empty: copy or save it again")
    if head[TAR] == b"ustar":
        raise CheckpointError("a tar archive: unpack it, and name the weights file that was in it")
    for beginning, kind in KINDS.items():
        if head.lstrip().startswith(beginning):
            raise CheckpointError(kind)
    raise CheckpointError("")


def _check_archive(path: Path) -> None:
    """Of zip archives, ``torch.save``'s has its pickle and no code."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise CheckpointError(
            "a damaged file of torch.save or zip archive: copy or save it again"
        ) from None
    if any(name.startswith("code/") for name in names):
        raise CheckpointError(
            "a TorchScript program: load it with torch.jit.load and save its state_dict()"
        )
    if any("archive_format" in name or "exported_program" in name for name in names):
        raise CheckpointError(
            "a program of torch.export: load it with torch.export.load and save its state_dict"
        )
    if "data.pkl" not in names:
        raise CheckpointError("a zip archive: unpack it, and name the weights file that was in it")


def _why_unread(error: Exception) -> str:
    text = str(error)
    found = re.search(r"(?:GLOBAL|class) ([\w.]+)", text)
    if found and "weights_only" in text:
        return (
            f"a pickle with Python objects besides tensors ({shortened(found[1], LONGEST_VALUE)}), "
            "which could run code when loaded: where you trust it, load it with torch.load(FILE, "
            "weights_only=False) and save its state dict alone with torch.save(STATE_DICT, "
            "NEW_FILE)"
        )
    return "a damaged file of torch.save, or a pickle of another kind: copy or save it again"
