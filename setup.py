"""What pyproject.toml cannot say: a wheel also has app.py and results/, which are not packages.

They go to ``roadmap/_packaged``; an editable install reads them where they are.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
#: No checkpoints, weights or logs of runs; the pocket networks and the pictures for them.
FILES = (
    *("app.py", ".streamlit/config.toml", "results/*/*.md", "results/*/*.csv", "results/*/*.json"),
    *("results/pocket/*.safetensors", "results/pictures/*.jpg"),
    *("results/runs/*/*/*.json", "results/runs/*/*/metrics.csv"),
)


class BuildWithResults(build_py):
    def run(self):
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "roadmap" / "_packaged"
        shutil.rmtree(target, ignore_errors=True)  # build/ keeps what was removed here
        for path in sorted(path for pattern in FILES for path in ROOT.glob(pattern)):
            copy = target / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


setup(cmdclass={"build_py": BuildWithResults})
