"""Training tests compute on one thread, and so to the same bits."""

import os

import pytest

# Deterministic matrix products on CUDA need it before the first one.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(autouse=True, scope="module")
def alone(one_thread):
    return one_thread
