"""What some formats need beside the project's own requirements. Imports none of it."""

from __future__ import annotations

import importlib.util

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def missing_packages() -> tuple[str, ...]:
    """Those of ``ONNX_PACKAGES`` that are not installed."""
    return tuple(name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None)
