"""Rows and candidates for tests of the finder."""

from __future__ import annotations

from typing import Any

from roadmap.find.candidates import Candidate
from roadmap.find.question import Question
from roadmap.find.store import COLUMNS, Row

MACHINE = "Test CPU, 2 cores"


def question(top1: float = 80.0, **changes: Any) -> Question:
    fields = {"device": "cpu", "device_name": MACHINE, "batch_size": 2, "dtype": "float32"}
    return Question(**{"top1": top1, **fields, **changes})


def candidate(name: str, top1: float | None, gflops: float = 4.0, **changes: Any) -> Candidate:
    fields = {
        "source": "timm",
        "image_size": 224,
        "test_set": "some",
        "params_m": 5 * gflops,
        "family": name,
    }
    return Candidate(**{"name": name, "top1": top1, "gflops": gflops, "weights": "w", **fields,
                        **changes})  # fmt: skip


def row(name: str, images_per_s: float, /, **changes: Any) -> Row:
    """A measured row of ``question()``."""
    found = {
        "source": "timm",
        "name": name,
        "mode": "inference",
        "device": "cpu",
        "device_name": MACHINE,
        "dtype": "float32",
        "channels_last": "True",
        "compiled": "False",
        "batch_size": "2",
        "image_size": "224",
        "repetitions": "10",
        "images_per_s": str(images_per_s),
        "images_per_s_p10": str(0.9 * images_per_s),
        "images_per_s_p90": str(1.1 * images_per_s),
        "peak_memory_gb": "0.5",
        "torch": "2.11.0",
        "timm": "1.0.29",
        "torchvision": "0.26.0",
        "python": "3.12.3",
        "date": "2026-11-29",
        "cuda": "",
        "batch_size_asked": "2",
        "depthwise": "torch",
        "disturbed": "",
        "attempts": "1",
    }
    found |= {name: str(value) for name, value in changes.items()}
    assert tuple(found) == COLUMNS
    return found
