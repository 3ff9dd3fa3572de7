"""The property tests meet every choice and a change of every field, of those to come too."""

import dataclasses

from hypothesis import given, settings
from strategies import configs

from models import ModelConfig
from models.config import CHOICES


def test_every_field_and_choice_is_drawn():
    drawn = []

    @settings(max_examples=100, derandomize=True, database=None)
    @given(configs())
    def draw(config):
        drawn.append(config)

    draw()
    for field in dataclasses.fields(ModelConfig):
        values = {getattr(config, field.name) for config in drawn}
        assert values - {field.default}, field.name
        assert values >= set(CHOICES.get(field.name, ())), field.name
