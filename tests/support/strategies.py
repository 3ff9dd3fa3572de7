"""Configs for property tests: small enough to run, otherwise anything that is valid."""

from hypothesis import strategies as st

from models import ModelConfig
from models.config import CHOICES


@st.composite
def configs(draw) -> ModelConfig:
    """Any valid config of a few blocks and few channels."""

    def choose(name):
        return draw(st.sampled_from(CHOICES[name]))

    block, depthwise = choose("block"), draw(st.booleans())
    groups, group_width = 1, None
    if not depthwise:
        groups = draw(st.sampled_from([1, 2, 4]))
        if block == "bottleneck":
            group_width = draw(st.sampled_from([None, 1, 3]))
    width = draw(st.integers(1, 3)) * groups
    return ModelConfig(
        depths=tuple(draw(st.lists(st.integers(1, 2), min_size=1, max_size=3))),
        width=width,
        stem=choose("stem"),
        block=block,
        groups=groups,
        group_width=group_width,
        depthwise=depthwise,
        depthwise_position=choose("depthwise_position") if depthwise else "middle",
        kernel_size=draw(st.sampled_from([1, 3, 5, 7])),
        activation=choose("activation"),
        activations_per_block=choose("activations_per_block"),
        norm=choose("norm"),
        norms_per_block=choose("norms_per_block") if block == "inverted" and depthwise else 3,
        response_norm=choose("response_norm"),
        downsampling=choose("downsampling"),
        layer_scale=draw(st.sampled_from([None, 1e-6, 0.5])),
        stochastic_depth=draw(st.sampled_from([0.0, 0.3])),
        init=choose("init"),
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
