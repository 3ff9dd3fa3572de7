"""``python -m roadmap.background.worker [--load]``: the process that runs one job of ``queue``.

Reads one request as a JSON line and answers in JSON lines: progress, ``{"done": 3, "total":
15}``, then ``{"result": {...}}`` or ``{"error": "a sentence"}``. With ``--load``, it imports the
libraries before reading the request. It exits when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from models.config import ModelConfig

#: Niceness: lower priority than the page server.
NICE = 10
#: Called with the finished steps and their total.
OnProgress = Callable[[int, int], None]


def measure(request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Measure images/s of ``config``; ``setting`` has fields of ``throughput.Setting``."""
    from models.network import ModernResNet
    from roadmap.device import best_device
    from roadmap.measure import throughput

    config = ModelConfig.from_dict(request["config"])

    def network() -> ModernResNet:
        return ModernResNet(config)

    setting = throughput.Setting(
        device=best_device(), in_channels=config.in_channels, **request["setting"]
    )
    measured = throughput.measure(network, setting, on_progress)
    low, median, high = measured.rates
    return {
        "images_per_s": median,
        "low": low,
        "high": high,
        "batch_size": measured.batch_size,
        "repetitions": setting.repetitions,
        "peak_memory_gb": measured.peak_memory_gb,
        "device": measured.device_name,
        "note": measured.note,
    }


def compare(request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Time training steps of two ``configs`` in turn; ``setting`` is as in ``measure``."""
    from models.network import ModernResNet
    from roadmap.device import best_device
    from roadmap.measure import paired, throughput

    first, second = (ModelConfig.from_dict(fields) for fields in request["configs"])
    device = best_device()
    setting = throughput.Setting(
        mode="training", device=device, in_channels=first.in_channels, **request["setting"]
    )
    pair = paired.compare(
        lambda: ModernResNet(first), lambda: ModernResNet(second), setting, on_progress
    )
    low, median, high = pair.ratios
    return {
        "ratio": median,
        "low": low,
        "high": high,
        "seconds": [statistics.median(times) for times in (pair.first, pair.second)],
        "rounds": len(pair.first),
        "batch_size": pair.batch_size,
        "busy": pair.busy,
        "device": pair.device_name,
        "kind": device,
    }


def measure_candidate(request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Time a network of the finder; return its row, with what disturbed it.

    The network is ``config`` with a ``name`` of its own, or of the library or roadmap ``source``.
    """
    from roadmap.measure import disturbance, throughput, throughput_table

    setting = throughput.Setting(**request["setting"])
    source, name = request["source"], request["name"]
    network: str | Callable[[], Any] = f"{source}:{name}"
    if request.get("config"):
        from models.network import ModernResNet

        config = ModelConfig.from_dict(request["config"])

        def network() -> ModernResNet:
            return ModernResNet(config)

    gpu = disturbance.gpu_use() if setting.device == "cuda" else None
    watch = disturbance.CpuWatch()
    measured = throughput.measure(network, setting, on_progress)
    low, _, high = measured.rates
    reason = disturbance.disturbed(setting.device, watch.others(), gpu, high / low)
    return {**throughput_table.row(measured, (source, name)), "disturbed": reason}


def export(request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Export ``config`` with random weights from ``seed`` to ``path`` in the format ``form``."""
    from roadmap.export.formats import STAGES, save
    from roadmap.export.weights import initialized

    form, seed = request["form"], request["seed"]
    total, done = STAGES[form] + 1, iter(range(STAGES[form] + 2))

    def on_stage() -> None:
        on_progress(next(done), total)

    on_stage()
    network = initialized(ModelConfig.from_dict(request["config"]), seed)
    on_stage()
    path, size = Path(request["path"]), request["image_size"]
    return {"difference": save(form, network, path, {"seed": seed}, size, on_stage)}


def export_library(request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Export a network of timm's registry or of torchvision to ONNX, with its trained weights if
    they can be loaded."""
    from roadmap.export.library import save_onnx

    on_progress(0, 1)
    names = {name: request[name] for name in ("source", "name", "weights")}
    difference, trained = save_onnx(
        path=Path(request["path"]), image_size=request["image_size"], **names
    )
    return {"difference": difference, "trained": trained}


def effective_fields(request: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Measure the untrained effective receptive field of each of ``configs``.

    ``cell`` is the side in pixels of the result's cells. Each network runs in its own thread, which
    is faster than several threads per network, as those synchronize after every layer.
    """
    import torch

    from roadmap.measure import effective_field as effective

    configs = [ModelConfig.from_dict(fields) for fields in request["configs"]]
    counts = [effective.image_count(config) for config in configs]
    done = [0] * len(configs)
    threads = max(1, torch.get_num_threads() // len(configs))

    def one(place: int) -> dict[str, Any]:
        torch.set_num_threads(threads)

        def one_more(images: int, _: int) -> None:
            done[place] = images
            on_progress(sum(done), sum(counts))

        network = effective.untrained(configs[place])
        field = effective.effective_field(network, images=counts[place], on_progress=one_more)
        return {
            "images": field.images,
            "center": field.center,
            "sides": {str(share): field.side(share) for share in effective.SHARES},
            "cells": [
                [round(value, 6) for value in row] for row in field.cells(request["cell"]).tolist()
            ],
        }

    on_progress(0, sum(counts))
    with ThreadPoolExecutor(len(configs)) as pool:
        fields = list(pool.map(one, range(len(configs))))
    return {"fields": fields, "image_size": effective.IMAGE_SIZE}


TASKS = {
    "measure": measure,
    "compare": compare,
    "measure_candidate": measure_candidate,
    "export": export,
    "export_library": export_library,
    "effective_fields": effective_fields,
}


def main() -> None:
    """Answer the request on standard input; output of libraries goes to standard error."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    # Ctrl-C in a terminal reaches all its processes; this one ends with its standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers, sys.stdout = sys.stdout, sys.stderr
    if "--load" in sys.argv[1:]:
        _load()
    request = json.loads(sys.stdin.readline())
    tempfile.tempdir = request.get("folder")  # so that libraries' files are removed with the job
    threading.Thread(target=_end_with_input, daemon=True).start()

    def on_progress(done: int, total: int) -> None:
        _answer(answers, {"done": done, "total": total})

    answer: dict[str, Any]
    try:
        answer = {"result": TASKS[request["task"]](request, on_progress)}
    except (MemoryError, RuntimeError) as error:
        from roadmap.device import out_of_memory

        if not out_of_memory(error):
            raise
        answer = {"error": "This machine ran out of memory: try a smaller network or batch."}
    except (ValueError, OSError) as error:  # their messages are one sentence
        answer = {"error": str(error)}
    _answer(answers, answer)


def _load() -> None:
    """Compute a tiny field, which loads everything that building and running networks needs."""
    config = ModelConfig(depths=(1,), width=8)
    effective_fields({"configs": [config.to_dict()], "cell": 4}, lambda _done, _total: None)


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")  # one write, since threads report concurrently
    answers.flush()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
