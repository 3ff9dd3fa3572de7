"""Training tests compute on one thread, and so to the same bits."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def alone(one_thread):
    return one_thread
