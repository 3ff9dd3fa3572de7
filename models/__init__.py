"""The networks: one config, one block specification, one network class.

``ModelConfig`` and ``VARIANTS`` import without torch; ``ModernResNet`` and ``load``, which builds
the network that a weights file holds, bring torch on first use. With timm, every size and step is
in its registry: ``timm.create_model("roadmap_convnext_tiny")``.
"""

from models import timm_hook
from models.config import ConfigError, ModelConfig
from models.variants import VARIANTS

__all__ = ["VARIANTS", "ConfigError", "ModelConfig", "ModernResNet", "load"]

timm_hook.install()


def __getattr__(name: str):
    if name == "ModernResNet":
        from models.network import ModernResNet

        return ModernResNet
    if name == "load":
        from models.files import load

        return load
    raise AttributeError(f"module 'models' has no attribute {name!r}")
