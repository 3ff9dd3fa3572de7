"""Run timm's scripts, or your own, with our networks in timm's registry."""

from __future__ import annotations

import pkgutil
import runpy
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import models
from models.config import ConfigError
from models.text import ended
from roadmap.console import fail
from roadmap.timm_models.weights import WeightsError


def run(script: Path) -> None:
    """Run ``script`` as Python does; its folder is already first on ``sys.path``.

    Invalid config fields, missing weights, and imports that fail because our ``models`` hides
    another project's, print one sentence and exit with code 2.
    """
    # Rebuilt, so that the script's own ``models`` comes right after ours.
    models.__path__ = pkgutil.extend_path(models.__path__[:1], models.__name__)
    try:
        runpy.run_path(str(script), run_name="__main__")
    except (ConfigError, WeightsError) as error:
        fail(str(error))
    except (ImportError, AttributeError) as error:
        module = _asked(error)
        hidden = module and _hidden_by(module)
        if not (module and hidden):
            raise
        fail(
            f"{ended(error)} This project's {module.__name__} hides {hidden}: rename the "
            "latter to use both."
        )
    except EOFError:  # typer takes it for the end of standard input and hides it
        traceback.print_exc()
        sys.exit(1)


def _asked(error: ImportError | AttributeError) -> ModuleType | None:
    """Return our module that lacks the requested name, or None."""
    if isinstance(error, AttributeError):
        found = error.obj
    else:
        name = error.name or ""
        parent = sys.modules.get(name.rpartition(".")[0])
        found = sys.modules.get(name, None if parent is models else parent)
    if isinstance(found, ModuleType) and found.__name__.partition(".")[0] == models.__name__:
        return found
    return None


def _hidden_by(module: ModuleType) -> str | None:
    """Return the file or folder of another project's module with the same name."""
    _, *parents = module.__name__.split(".")[:-1] or [""]
    parent = "." in module.__name__
    folders = [str(Path(f, *parents)) for f in models.__path__] if parent else sys.path
    for folder in folders:
        spec = PathFinder.find_spec(module.__name__, [folder])
        if spec and spec.origin and spec.origin != module.__file__:
            return spec.origin
        if spec and spec.submodule_search_locations and not spec.origin and parent:
            return spec.submodule_search_locations[0]  # a folder without __init__.py
    return None
