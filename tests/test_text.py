"""How numbers are written."""

import pytest

from roadmap.text import scientific


@pytest.mark.parametrize(
    ("value", "said"),
    [(1e-6, "10⁻⁶"), (1e-12, "10⁻¹²"), (1e20, "10²⁰"), (0.1, "0.1"), (2e-6, "2e-06"), (1.0, "1")],
)
def test_a_power_of_ten_is_written_as_one(value, said):
    assert scientific(value) == said
