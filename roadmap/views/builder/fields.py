"""The builder's controls, one per field of ``ModelConfig``, grouped by the part they change."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from models.config import BOUNDS, CHOICES, FIELDS, ConfigError, ModelConfig
from models.text import ended
from roadmap.drawing.words import ACTIVATIONS, NORMS, label
from roadmap.text import scientific

#: Longest text that is parsed, in characters: a program may send megabytes.
LONGEST = 10_000


@dataclass(frozen=True)
class Control:
    """How the page presents a field; ``names`` are its values as inside a sentence, where they need
    a name."""

    field: str
    help: str
    label: str = ""
    names: Mapping[Any, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.label or self.field.replace("_", " ").capitalize()

    def said(self, value: Any) -> str:
        """Return ``value`` as the page prints it alone: ``Layer norm``."""
        return "none" if value is None else label(self.inside(value))

    def inside(self, value: Any) -> str:
        """Return ``value`` as inside a sentence: ``layer norm``."""
        if value in self.names:
            return self.names[value]
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return scientific(value) if isinstance(value, float) else f"{value:,}"

    def phrase(self, value: Any) -> str:
        """Return the field with ``value`` as inside a sentence: ``kernel size 7``."""
        return f"{self.title.lower()} {self.inside(value)}"


#: Controls by the part of the network that they change.
GROUPS: dict[str, tuple[Control, ...]] = {
    "stem": (
        Control(
            "stem",
            "ResNet: a 7×7 convolution with stride 2, then max pooling. Patchify: one 4×4 "
            "convolution with stride 4.",
            names={"resnet": "ResNet", "patchify": "patchify"},
        ),
    ),
    "stages": (
        Control("depths", "Blocks per stage, for 1 to 6 stages, such as 3, 4, 6, 3."),
        Control(
            "width",
            "Channels in the first stage; they double in each later stage. For a bottleneck this "
            "is the inner width (its output is 4 times wider), for an inverted block the output.",
        ),
    ),
    "downsampling": (
        Control(
            "downsampling",
            "In the block: a stage's first block has stride 2. Separate: a norm and a 2×2 "
            "convolution with stride 2 between stages, plus a norm after the stem and after "
            "pooling.",
            names={"in_block": "in the block", "separate": "separate"},
        ),
    ),
    "block": (
        Control(
            "block",
            "Bottleneck: wide, narrow, wide. Inverted: narrow, wide, narrow.",
            names={"bottleneck": "bottleneck", "inverted": "inverted"},
        ),
        Control(
            "layer_scale",
            "Initial value of a learned factor per channel on the residual branch. Empty: no "
            "factor.",
        ),
    ),
    "spatial": (
        Control("kernel_size", "Side of the spatial convolution: an odd number of pixels."),
        Control(
            "depthwise",
            "Yes: the spatial convolution gives every channel its own filter.",
        ),
        Control(
            "depthwise_position",
            "Position of the depthwise convolution: between the 1×1 convolutions or before them.",
            names={"middle": "middle", "first": "first"},
        ),
        Control("groups", "Groups of the spatial convolution (ResNeXt's cardinality)."),
        Control(
            "group_width",
            "Channels per group in the first stage, doubling in each later stage. Empty: the "
            "width's share.",
        ),
    ),
    "norm": (
        Control(
            "norm",
            "Batch norm or layer norm throughout. With layer norm, convolutions have a bias.",
            names=NORMS,
        ),
        Control(
            "norms_per_block",
            "3: after each convolution. 1: after the depthwise convolution of an inverted block.",
        ),
        Control("response_norm", "Global response normalization before the last convolution."),
    ),
    "activation": (
        Control("activation", "Nonlinearity used throughout.", names=ACTIVATIONS),
        Control(
            "activations_per_block",
            "3: after each norm and after the addition. 1: before the last 1×1 convolution.",
        ),
    ),
    "head": (Control("num_classes", "0: no classifier; the network returns features.", "Classes"),),
    "input": (
        Control("in_channels", "Number of image channels.", "Input channels"),
        Control(
            "init",
            "Kaiming: He et al. 2015, as in ResNet. Truncated normal: standard deviation 0.02, as "
            "in ConvNeXt. PyTorch's default: as in the authors' runs of the steps in between.",
            "Initialization",
            names={
                "kaiming": "Kaiming",
                "trunc_normal": "truncated normal",
                "default": "PyTorch's default",
            },
        ),
        Control(
            "stochastic_depth",
            "Drop probability of the last block; it grows linearly from 0 at the first.",
        ),
    ),
}
TITLES = {
    "stem": "Stem",
    "stages": "Stages",
    "downsampling": "Downsampling",
    "block": "Block",
    "spatial": "Spatial convolution",
    "norm": "Norms",
    "activation": "Activations",
    "head": "Classifier",
    "input": "Input, initialization, regularization",
}
#: The group that is folded below the others.
INPUTS = "input"
CONTROLS: dict[str, Control] = {
    control.field: control for controls in GROUPS.values() for control in controls
}


@dataclass(frozen=True)
class Refused:
    """Invalid values: as the controls show them, the reason, and the fields that it is about, first
    the one whose control shows it. ``over`` is the config that they would have replaced."""

    values: Mapping[str, Any]
    reason: str
    fields: tuple[str, ...]
    over: ModelConfig


def group_of(field: str) -> str:
    """Return the key of the group with the control of ``field``."""
    return next(key for key, group in GROUPS.items() if CONTROLS[field] in group)


def show(
    group: str,
    config: ModelConfig,
    refused: Refused | None,
    on_change: Callable[[str], None],
    on_refused: Callable[[Refused], None],
) -> None:
    """Show the controls of ``group``, with the values of ``config`` or the refused ones.

    ``on_change`` is called with the changed field; ``chosen`` then returns the values.
    ``on_refused`` shows the refusal, below its control.
    """
    values = refused.values if refused else _shown(config)
    for control in GROUPS[group]:
        st.session_state[_key(control.field)] = values[control.field]
        _widget(control, on_change)
        if refused and refused.fields[0] == control.field:
            on_refused(refused)


def chosen(changed: str, over: ModelConfig, refused: Refused | None) -> ModelConfig | Refused:
    """Return the config after ``changed`` was edited, or what is wrong with it.

    The other fields are those of ``over``, or the values refused before.
    """
    values = {**(refused.values if refused else _shown(over))}
    values[changed] = st.session_state[_key(changed)]
    values["depths"] = values["depths"][:LONGEST]
    try:
        return ModelConfig(**{name: _read(name, value) for name, value in values.items()})
    except ConfigError as error:
        first = [changed] if changed in error.fields else []
        fields = tuple(dict.fromkeys([*first, *error.fields]))
        return Refused(values, _sentence(str(error)), fields, over)


def _key(name: str) -> str:
    return f"field-{name}"


def _shown(config: ModelConfig) -> dict[str, Any]:
    """Return the fields as the controls hold them, with depths as text."""
    return {name: getattr(config, name) for name in FIELDS} | {
        "depths": CONTROLS["depths"].said(config.depths)
    }


def _read(name: str, value: Any) -> Any:
    """Convert a control's value to the field's; depths may be a list in any notation."""
    if name != "depths":
        return value
    parts = re.split(r"[\s,;()\[\]-]+", value.strip(" ,;()[]"))
    whole = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
    return tuple(int(part) for part in parts) if whole else value


def _sentence(reason: str) -> str:
    reason = ended(reason)
    return reason if reason.startswith(FIELDS) else f"{reason[0].upper()}{reason[1:]}"


def _widget(control: Control, on_change: Callable[[str], None]) -> None:
    name = control.field
    common: dict[str, Any] = {
        "label": control.title,
        "key": _key(name),
        "help": control.help,
        "on_change": on_change,
        "args": (name,),
    }
    if name in CHOICES:
        st.segmented_control(
            options=CHOICES[name],
            format_func=control.said,
            required=True,
            wrap=True,
            **common,
        )
    elif name == "depths":
        st.text_input(**common)
    elif name in BOUNDS:
        low, high = BOUNDS[name]
        if name == "group_width":
            common |= {"value": None, "placeholder": "none"}
        step = 2 if name == "kernel_size" else 1
        st.number_input(min_value=low, max_value=high, step=step, **common)
    elif name == "layer_scale":
        st.number_input(
            min_value=0.0, step=1e-6, format="%g", value=None, placeholder="none", **common
        )
    else:
        st.number_input(min_value=0.0, max_value=1.0, step=0.05, format="%g", **common)
