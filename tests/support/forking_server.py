"""Fork the processes of the app's jobs: run first in the process of the browser tests' server.

Most pages prepare such a process. Others would import torch.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from forked_jobs import fork_jobs

fork_jobs("roadmap.measure.effective_field", "roadmap.export.onnx", "onnxscript")
