"""Run first in the explorer's server: it forks the processes that train."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from forked_jobs import fork_jobs  # noqa: E402 - after the path

fork_jobs("roadmap.train.run")
