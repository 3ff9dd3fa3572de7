"""The networks: one config, one block specification, one network class.

``ModelConfig`` and ``VARIANTS`` import without torch; ``ModernResNet`` and ``load``, which rebuilds
the network of a weights file, import torch on first use.
"""

import pkgutil
from typing import TYPE_CHECKING

from models.config import ConfigError, ModelConfig
from models.variants import VARIANTS

if TYPE_CHECKING:
    from models.files import load
    from models.network import ModernResNet

__all__ = ["VARIANTS", "ConfigError", "ModelConfig", "ModernResNet", "load"]

# Other projects also have a folder of this name; their modules stay importable.
__path__ = pkgutil.extend_path(__path__, __name__)


def __getattr__(name: str) -> object:
    if name == "ModernResNet":
        from models.network import ModernResNet

        return ModernResNet
    if name == "load":
        from models.files import load

        return load
    raise AttributeError(f"module 'models' has no attribute {name!r}")
