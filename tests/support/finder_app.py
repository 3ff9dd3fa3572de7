"""The explorer, whose finder has three small networks as candidates."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from small_finder import use_small_networks  # noqa: E402 - after the path

use_small_networks()
runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
