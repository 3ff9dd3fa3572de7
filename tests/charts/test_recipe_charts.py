"""Learning rates are training's own; the waterfall adds up."""

from __future__ import annotations

import pytest

from roadmap.charts.recipes import gains, schedules
from roadmap.recipes import RECIPES
from roadmap.schedule import learning_rate
from roadmap.tables.results import roadmap_table
from roadmap.tables.schedules import IMAGENET_IMAGES, POINTS, schedule_table

TITLES = {name: name for name in RECIPES}
TABLE = schedule_table(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_table_holds_the_rates_that_training_sets(name):
    recipe, rows = RECIPES[name], TABLE[TABLE["recipe"] == name]
    steps = IMAGENET_IMAGES // recipe.batch_size
    assert len(rows) == POINTS
    assert rows["step"].iloc[0] == 0
    assert rows["step"].iloc[-1] == recipe.epochs * steps - 1  # the last step of a run
    for row in rows.iloc[::50].to_dict("records"):
        assert row["rate"] == learning_rate(recipe, row["step"], steps)
        assert row["epoch"] == pytest.approx(recipe.epochs * row["share"])


def test_a_line_a_recipe_relative_or_as_it_is():
    relative = schedules(TABLE, TITLES, relative=True)
    assert [max(line.y) for line in relative.data] == [1.0] * len(RECIPES)
    absolute = schedules(TABLE, TITLES)
    assert [line.name for line in absolute.data] == list(RECIPES)
    assert max(absolute.data[0].x) == pytest.approx(90, abs=0.01)
    looks = {(line.line.dash, line.line.width) for line in absolute.data}
    assert len(looks) == len(RECIPES)  # told apart without their colors


def test_each_bar_goes_from_one_accuracy_to_the_next():
    table = roadmap_table("torchvision_recipe")
    bars = gains(table).data[0]
    ends = [start + length for start, length in zip(bars.base, bars.x, strict=True)]
    assert ends == pytest.approx(list(table["top1"]))
    assert list(bars.base[1:]) == pytest.approx(list(table["top1"][:-1]))
    assert bars.x[0] == 0  # the start is a dot: a bar from the cut axis would mislead
    assert gains(table).layout.yaxis3.ticktext[3] == "+1.80"
