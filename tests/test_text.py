"""How numbers are written."""

import pytest

from roadmap.text import scientific


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1e-6, "10⁻⁶"),
        (1e-12, "10⁻¹²"),
        (1e20, "10²⁰"),
        (0.1, "0.1"),
        (2.5e-6, "2.5×10⁻⁶"),
        (1.0, "1"),
    ],
)
def test_small_and_large_numbers_have_a_power_of_ten(value, said):
    assert scientific(value) == said
