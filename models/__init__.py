"""The networks: one config, one block specification, one network class.

``ModelConfig`` and ``VARIANTS`` import without torch; ``ModernResNet`` brings torch on first use.
With timm, every size and step is in its registry: ``timm.create_model("roadmap_convnext_tiny")``.
"""

from models import timm_hook
from models.config import ConfigError, ModelConfig
from models.variants import VARIANTS

__all__ = ["VARIANTS", "ConfigError", "ModelConfig", "ModernResNet"]

timm_hook.install()


def __getattr__(name: str):
    if name == "ModernResNet":
        from models.network import ModernResNet

        return ModernResNet
    raise AttributeError(f"module 'models' has no attribute {name!r}")
