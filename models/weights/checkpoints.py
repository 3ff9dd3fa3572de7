"""State dicts as saved by training programs: nested, with prefixes, by ``torch.save``."""

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

#: Names of state dicts in checkpoints, averaged weights first, as in timm.
WRAPPERS = (
    *("state_dict_ema", "model_ema", "state_dict"),
    *("model_state_dict", "model_state", "model", "module", "net"),
)
MOST_NESTED = 8
#: Key prefixes of DDP, weight averages and Lightning.
PREFIXES = ("module.", "model.")
#: Key prefix of torch.compile.
COMPILED = "_orig_mod."
#: Signatures of other kinds of files, and the message for each.
KINDS: dict[bytes, str] = {
    b"version https://git-lfs": "a Git LFS pointer instead of the file: run git lfs pull",
    b"\x89HDF": "an HDF5 file, such as Keras writes: convert it to a PyTorch state dict",
    b"GGUF": "a GGUF file: use the original weights",
    b"\x1f\x8b": "compressed with gzip: decompress it first",
    b"BZh": "compressed with bzip2: decompress it first",
    b"\xfd7zXZ": "compressed with xz: decompress it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: decompress it first",
    b"<": "a web page or XML, not weights: download the file again",
    b"{": "a JSON file, not weights: use the safetensors file beside it",
}
#: Offset of a tar archive's signature, and of a safetensors file's header after its length.
TAR, SAFETENSORS = slice(257, 262), slice(5, 9)


class CheckpointError(ValueError):
    """A file without a readable state dict; the message completes "FILE is ...".

    It is empty for unknown kinds of files, including safetensors.
    """


def state_dict_of(saved: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the state dict in ``saved``, and its names there, such as ``model_ema``, or ''."""
    names: list[str] = []
    for _ in range(MOST_NESTED):  # unpickled objects may contain themselves
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
                return {}, ".".join([*names, name])  # saved empty
    return saved, ".".join(names)


def with_bare_keys(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Remove ``PREFIXES``, ``COMPILED`` and an average's count from ``state_dict``.

    Raises ``ValueError`` if a key is not text or two keys become equal.
    """
    bare: dict[str, Any] = {}
    for key, value in state_dict.items():
        if not isinstance(key, str):
            raise ValueError(
                f"these weights have the key {said(key)}, which is not text: use a state dict"
            )
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
    """Read ``state_dict_of`` a ``torch.save`` file, on the CPU.

    Reads tensors, plain values and the options that timm and torchvision save with them, without
    running code in the file. Raises ``CheckpointError`` for other kinds of files, other Python
    objects and damaged files, and ``OSError``.
    """
    _check_kind(Path(path))
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(_why_unread(error)) from None
    if not isinstance(saved, Mapping):
        raise CheckpointError(
            f"a torch.save file with a {type(saved).__name__} in it: save a state dict"
        )
    state_dict, part = state_dict_of(saved)
    return dict(state_dict), part


def _check_kind(path: Path) -> None:
    """Raise ``CheckpointError`` unless ``torch.load`` can read the file."""
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
        raise CheckpointError("a tar archive: unpack it and use the weights file in it")
    for beginning, kind in KINDS.items():
        if head.lstrip().startswith(beginning):
            raise CheckpointError(kind)
    raise CheckpointError("")


def _check_archive(path: Path) -> None:
    """Check a zip archive: one that ``torch.save`` wrote has a pickle and no code."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise CheckpointError(
            "a damaged torch.save file or zip archive: copy or save it again"
        ) from None
    if any(name.startswith("code/") for name in names):
        raise CheckpointError(
            "a TorchScript program: load it with torch.jit.load and save its state_dict()"
        )
    if any("archive_format" in name or "exported_program" in name for name in names):
        raise CheckpointError(
            "a torch.export program: load it with torch.export.load and save its state_dict"
        )
    if "data.pkl" not in names:
        raise CheckpointError("a zip archive: unpack it and use the weights file in it")


def _why_unread(error: Exception) -> str:
    text = str(error)
    found = re.search(r"(?:GLOBAL|class) ([\w.]+)", text)
    if found and "weights_only" in text:
        return (
            f"a pickle with Python objects besides tensors ({shortened(found[1], LONGEST_VALUE)}), "
            "which could run code when loaded: if you trust it, load it with torch.load(FILE, "
            "weights_only=False) and save only its state dict with torch.save(STATE_DICT, "
            "NEW_FILE)"
        )
    return "a damaged torch.save file, or another kind of pickle: copy or save it again"
