"""The explorer, whose finder has three small networks as candidates."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from forked_jobs import fork_jobs  # noqa: E402 - after the path
from small_finder import use_small_networks, wait_for_stop  # noqa: E402

fork_jobs("roadmap.measure.throughput", "timm")
use_small_networks()
wait_for_stop()
runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
