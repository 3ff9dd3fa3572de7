"""Optional packages of export formats, found without importing them."""

from __future__ import annotations

import importlib.util

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def missing_packages() -> tuple[str, ...]:
    """Return the ``ONNX_PACKAGES`` that are not installed."""
    return tuple(name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None)


def onnx_refusal() -> str | None:
    """Return a sentence on the missing packages and how to install them, or None."""
    missing = missing_packages()
    if not missing:
        return None
    return (
        f"ONNX export needs {', '.join(missing)}: install this project with the [onnx] extra, or "
        f"run pip install {' '.join(missing)}"
    )
