"""How numbers are written."""

import pytest

from roadmap.text import scientific, time_limit


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


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        *((1.5, "1.5 min"), (2, "2 min"), (4.2, "4.2 min"), (9.97, "10 min"), (59.9, "59.9 min")),
        *((0.5, "30 s"), (90, "1 h 30 min"), (0, "0 s")),
    ],
)
def test_a_limit_of_minutes_is_not_rounded_to_another(minutes, said):
    assert time_limit(minutes) == said
