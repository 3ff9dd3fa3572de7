"""The explorer, whose page of training is updated more often and forks its processes."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from forked_jobs import fork_jobs  # noqa: E402 - after the path

from roadmap.views.training import cards  # noqa: E402 - after the path

fork_jobs("roadmap.train.run")
cards.EVERY = 1
runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
