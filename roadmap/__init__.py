"""The roadmap from ResNet to ConvNeXt: steps, costs and scores."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roadmap.definition import Roadmap, Step
    from roadmap.steps import ROADMAPS

__all__ = ["ROADMAPS", "Roadmap", "Step"]

__version__ = "0.1.0"


def check_models() -> None:
    """Raise ``ImportError`` if ``import models`` would find another project's module."""
    found = find_spec("models")
    ours = Path(__file__).resolve().parents[1] / "models"
    if found and found.origin and Path(found.origin).resolve().parent != ours:
        raise ImportError(
            f"`import models` finds {found.origin} instead of {ours}, which roadmap needs; "
            "start from another folder, remove that folder from PYTHONPATH, or rename it",
            name="models",
        )


def __getattr__(name: str) -> object:
    """Import lazily, so that a command can check ``models`` before anything imports it."""
    if name in __all__:
        check_models()
        from roadmap import steps

        return getattr(steps, name)
    raise AttributeError(f"module 'roadmap' has no attribute {name!r}")
