"""The explorer, whose background processes are forked."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from forked_jobs import fork_jobs  # noqa: E402 - after the path

fork_jobs("roadmap.measure.effective_field", "roadmap.export.onnx", "onnxscript")
runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
