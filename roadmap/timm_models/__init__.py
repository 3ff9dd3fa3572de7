"""Importing this package adds every step and size to timm's registry.

``timm.create_model("roadmap_resnet50_kernel_7")`` then builds one; ``python -m roadmap timm
SCRIPT ...`` runs a script with them.
"""

from roadmap import check_models

check_models()

from roadmap.timm_models.registry import register  # noqa: E402 - it imports models

register()
