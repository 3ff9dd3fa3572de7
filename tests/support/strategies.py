"""Configs for property tests: small enough to run, otherwise anything that is valid."""

from hypothesis import strategies as st

from models import ModelConfig
from models.config import CHOICES


@st.composite
def configs(draw) -> ModelConfig:
    """Any valid config of a few blocks and few channels."""
    chosen = {name: draw(st.sampled_from(values)) for name, values in CHOICES.items()}
    if not chosen["depthwise"]:
        chosen["depthwise_position"] = "middle"
    if not (chosen["depthwise"] and chosen["block"] == "inverted"):
        chosen["norms_per_block"] = 3
    groups = 1 if chosen["depthwise"] else draw(st.sampled_from([1, 2, 4]))
    group_width = None
    if chosen["block"] == "bottleneck" and not chosen["depthwise"]:
        group_width = draw(st.sampled_from([None, 1, 3]))
    return ModelConfig(
        **chosen,
        depths=tuple(draw(st.lists(st.integers(1, 2), min_size=1, max_size=3))),
        width=draw(st.integers(1, 3)) * groups,
        groups=groups,
        group_width=group_width,
        kernel_size=draw(st.sampled_from([1, 3, 5, 7])),
        layer_scale=draw(st.sampled_from([None, 1e-6, 0.5])),
        stochastic_depth=draw(st.sampled_from([0.0, 0.3])),
        num_classes=draw(st.integers(0, 5)),
        in_channels=draw(st.integers(1, 5)),
    )


_anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-1, 4), max_size=8),
    st.sampled_from([choice for choices in CHOICES.values() for choice in choices]),
)


def wild_fields():
    """Fields with values of any kind: most make no network."""
    names = st.sampled_from([*ModelConfig.__dataclass_fields__, "widht", ""])
    return st.dictionaries(names, _anything, max_size=6)
