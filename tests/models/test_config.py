import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import configs, wild_fields

from models import ConfigError, ModelConfig
from models.config import FIELDS, differences


@pytest.mark.parametrize(
    ("fields", "named", "advice"),
    [
        ({"norms_per_block": 1}, ("norms_per_block", "block"), "set block to 'inverted'"),
        ({"depthwise_position": "first"}, ("depthwise_position",), "set depthwise to true"),
        ({"kernel_size": 6}, ("kernel_size",), "use 5 or 7"),
        ({"depthwise": True, "groups": 32}, ("groups",), "set groups to 1"),
        ({"groups": 5}, ("groups",), "64 channels"),
        ({"block": "inverted", "group_width": 4}, ("group_width",), "set group_width to none"),
        ({"depths": (3, 0)}, ("depths",), "positive whole numbers"),
        ({"depths": (600, 600)}, ("depths",), "at most 1000"),
        ({"norm": "bach"}, ("norm",), "'batch' or 'layer'"),
        ({"widht": 64}, ("widht",), "did you mean 'width'"),
        ({"width": True}, ("width",), "a whole number"),
        ({"stochastic_depth": 1.0}, ("stochastic_depth",), "under 1"),
        ({"layer_scale": float("nan")}, ("layer_scale",), "finite"),
        ({"layer_scale": 10**400}, ("layer_scale",), "finite"),
        ({"activations_per_block": 3.0}, ("activations_per_block",), "use 1 or 3"),
    ],
)
def test_refusals_name_the_fields_and_what_works(fields, named, advice):
    with pytest.raises(ConfigError, match=named[0]) as caught:
        ModelConfig.from_dict(fields)
    assert set(named) <= set(caught.value.fields)
    assert advice in str(caught.value)


@pytest.mark.parametrize("digits", [900, 5000])  # Python reads 4,300
def test_a_number_of_many_digits_is_refused_in_a_line(digits):
    for text in (f'{{"depths": [{"9" * digits}]}}', f'{{"kernel_size": {"9" * digits}}}'):
        with pytest.raises(ConfigError) as refused:
            ModelConfig.from_json(text)
        assert len(str(refused.value)) < 150
        assert "set_int_max_str_digits" not in str(refused.value)


def test_json_nested_too_deeply_is_refused():
    with pytest.raises(ConfigError, match="nested too deeply"):
        ModelConfig.from_json("[" * 100_000)


def test_replace_checks_names():
    with pytest.raises(ConfigError, match="did you mean 'kernel_size'"):
        ModelConfig().replace(kernelsize=7)


def test_json_has_every_field():
    assert set(json.loads(ModelConfig().to_json())) == set(FIELDS)


def test_differences():
    wider = ModelConfig(width=96, stem="patchify")
    assert differences(ModelConfig(), wider) == {"width": (64, 96), "stem": ("resnet", "patchify")}


def refusal(**fields):
    with pytest.raises(ConfigError) as caught:
        ModelConfig(**fields)
    assert set(caught.value.fields) & set(fields)
    return str(caught.value)


def test_the_defaults_are_resnet50():
    assert ModelConfig().to_dict() == {
        "depths": [3, 4, 6, 3],
        "width": 64,
        "stem": "resnet",
        "block": "bottleneck",
        "groups": 1,
        "group_width": None,
        "depthwise": False,
        "depthwise_position": "middle",
        "kernel_size": 3,
        "activation": "relu",
        "activations_per_block": 3,
        "norm": "batch",
        "norms_per_block": 3,
        "response_norm": False,
        "downsampling": "in_block",
        "layer_scale": None,
        "stochastic_depth": 0.0,
        "init": "kaiming",
        "num_classes": 1000,
        "in_channels": 3,
    }


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("width", 1, 8192),
        ("groups", 1, 8192),
        ("group_width", 1, 8192),
        ("kernel_size", 1, 31),
        ("num_classes", 0, 1_000_000),
        ("in_channels", 1, 4096),
    ],
)
def test_bounds_are_inclusive(name, low, high):
    for value in (low, high):
        config = ModelConfig(**{"width": 8192, name: value})
        assert getattr(config, name) == value
    for value in (low - 1, high + 1, float(high), None if name != "group_width" else "1"):
        message = refusal(**{name: value})
        assert f"{name} is {value!r}" in message
        assert str(low) in message
        assert f"{high:,}" in message


def test_a_choice_takes_each_of_its_values():
    for init in ("kaiming", "trunc_normal", "default"):
        assert ModelConfig(init=init).init == init


def test_a_network_has_up_to_six_stages_and_1000_blocks():
    assert ModelConfig(depths=[500, 100, 100, 100, 100, 100]).depths == (500, *[100] * 5)
    assert "[]" in refusal(depths=[])
    assert "1 to 6" in refusal(depths=[1] * 7)
    assert "1001" in refusal(depths=[1000, 1])
    assert "True" in refusal(depths=[True])
    assert "2.0" in refusal(depths=[2.0])
    assert "'33'" in refusal(depths="33")


@pytest.mark.parametrize("name", ["stochastic_depth", "layer_scale"])
def test_real_fields_are_at_least_0_and_kept_as_floats(name):
    for value in (0, 0.0, 0.5):
        found = getattr(ModelConfig(**{name: value}), name)
        assert (found, type(found)) == (value, float)
    for value in (-0.001, True, "0.5", float("inf"), float("nan"), [0.5]):
        assert f"{name} is {value!r}" in refusal(**{name: value})
    assert "inf" in refusal(**{name: 10**400})


def test_a_whole_number_may_be_a_layer_scale_but_drops_no_block_for_certain():
    assert ModelConfig(layer_scale=1).layer_scale == 1.0
    assert "1.0" in refusal(stochastic_depth=1)
    assert "None" in refusal(stochastic_depth=None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kernel_size": 4}, ("kernel_size",)),
        ({"norms_per_block": 1, "block": "inverted"}, ("norms_per_block", "block", "depthwise")),
        ({"norms_per_block": 1, "depthwise": True}, ("norms_per_block", "block", "depthwise")),
        ({"depthwise_position": "first"}, ("depthwise_position", "depthwise")),
        ({"depthwise": True, "groups": 2}, ("groups", "group_width", "depthwise")),
        ({"depthwise": True, "group_width": 64}, ("groups", "group_width", "depthwise")),
        ({"group_width": 4, "block": "inverted"}, ("group_width", "block")),
        ({"groups": 2, "width": 3}, ("groups", "width")),
    ],
)
def test_a_contradiction_names_every_field_that_could_change(fields, named):
    """The Builder marks these controls."""
    with pytest.raises(ConfigError) as caught:
        ModelConfig(**fields)
    assert caught.value.fields == named


def test_widths_double_with_each_stage():
    resnet = ModelConfig(width=8, depths=(1, 1, 1))
    assert [resnet.inner_width(stage) for stage in range(3)] == [8, 16, 32]
    assert [resnet.output_width(stage) for stage in range(3)] == [32, 64, 128]
    inverted = resnet.replace(block="inverted")
    assert [inverted.inner_width(stage) for stage in range(3)] == [32, 64, 128]
    assert [inverted.output_width(stage) for stage in range(3)] == [8, 16, 32]
    grouped = resnet.replace(groups=4, group_width=3)
    assert [grouped.inner_width(stage) for stage in range(3)] == [12, 24, 48]
    assert (resnet.num_features, inverted.num_features) == (128, 32)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not valid JSON"),
        ("[64]", "not an object"),
        ('{"qqqqq": 1}', "use one of depths, width"),
        ('{"widht": 1}', "'width'"),
    ],
)
def test_json_of_no_config_is_refused(text, named):
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_json(text)
    assert named in str(caught.value)


def test_json_takes_the_options_of_json():
    text = ModelConfig().to_json(indent=2)
    assert text.startswith('{\n  "depths"')
    assert ModelConfig.from_json(text) == ModelConfig()


@given(configs())
def test_survives_json(config):
    again = ModelConfig.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)


@settings(max_examples=500)
@given(wild_fields())
def test_is_valid_or_refused_with_a_sentence_that_names_the_field(fields):
    try:
        config = ModelConfig.from_dict(fields)
    except ConfigError as error:
        assert error.fields
        assert error.fields[0] in str(error)
        assert str(error).count("\n") == 0
        assert "use" in str(error) or "set" in str(error) or "did you mean" in str(error)
    else:
        assert ModelConfig.from_json(config.to_json()) == config


@given(st.text())
def test_text_that_is_no_config_is_refused(text):
    with pytest.raises(ConfigError):
        ModelConfig.from_json(text if not text.strip().startswith("{") else "[" + text)
