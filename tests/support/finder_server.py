"""Run first in the explorer's server: its finder has three small networks as candidates."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from forked_jobs import fork_jobs  # noqa: E402 - after the path
from small_finder import use_small_networks, wait_for_stop  # noqa: E402

fork_jobs("roadmap.measure.throughput", "timm")
use_small_networks()
wait_for_stop()
