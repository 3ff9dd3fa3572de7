"""Runs a script of timm's, or your own, with the networks in timm's registry.

``python -m models.timm_script train.py --model roadmap_resnet50_kernel_7 --data-dir DIR ...``
and ``torchrun ... -m models.timm_script train.py ...`` do what ``python train.py ...`` and
``torchrun ... train.py ...`` do. A sentence of ours, about a field of the config or about
weights, ends them with exit code 2.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from models.config import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m models.timm_script",
        description="Runs a script that uses timm, with our networks in timm's registry.",
    )
    parser.add_argument("script", help="timm's train.py, validate.py or benchmark.py, say")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the script's own")
    chosen = parser.parse_args()
    script = Path(chosen.script).resolve()
    if not script.is_file():
        parser.error(f"there is no script {chosen.script}: name a Python file")
    sys.path.insert(0, str(script.parent))  # as Python itself does, so that a checkout's timm wins
    sys.argv = [chosen.script, *chosen.arguments]
    from models.timm_weights import WeightsError

    try:
        runpy.run_path(str(script), run_name="__main__")
    except (ConfigError, WeightsError) as error:
        parser.exit(2, f"Error: {error}\n")


if __name__ == "__main__":
    main()
