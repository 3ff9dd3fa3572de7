"""The networks join timm's registry as soon as timm is imported, before or after this package."""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

_TIMM = "timm.models"


class _AfterTimm(MetaPathFinder):
    """Finds ``timm.models`` where Python does, and registers once its code has run."""

    def find_spec(self, name, path=None, target=None):
        if name != _TIMM:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                _register()

            spec.loader.exec_module = execute_and_register
        return spec


def install() -> None:
    """Registers now if timm is imported, otherwise when it will be. Imports neither itself."""
    # By name, as a module that was imported anew has another class.
    if _AfterTimm.__name__ not in [type(finder).__name__ for finder in sys.meta_path]:
        sys.meta_path.insert(0, _AfterTimm())
    if sys.modules.get(_TIMM):
        importlib.import_module(_TIMM)  # waits where another thread is in the middle of it
        _register()


def _register() -> None:
    from models.timm_registry import register

    register()
