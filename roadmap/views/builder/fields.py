"""The builder's controls, one per field of ``ModelConfig``."""

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
from roadmap.views.common import markup

#: Longest text that is parsed, in characters: a program may send megabytes.
LONGEST = 10_000


@dataclass(frozen=True)
class Control:
    """How the page presents a field; ``names`` are its values' titles where they need one."""

    field: str
    help: str
    label: str = ""
    names: Mapping[Any, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.label or self.field.replace("_", " ").capitalize()

    def said(self, value: Any) -> str:
        """Return ``value`` as the page prints it."""
        if value in self.names:
            return self.names[value]
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "Yes" if value else "No"
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return scientific(value) if isinstance(value, float) else f"{value:,}"


#: Controls by group, in page order.
GROUPS: dict[str, tuple[Control, ...]] = {
    "Macro design": (
        Control("depths", "Blocks per stage, for 1 to 6 stages, such as 3, 4, 6, 3."),
        Control(
            "width",
            "Channels in the first stage; they double in each later stage. For a bottleneck this "
            "is the inner width (its output is 4 times wider), for an inverted block the output.",
        ),
        Control(
            "stem",
            "ResNet: a 7×7 convolution with stride 2, then max pooling. Patchify: one 4×4 "
            "convolution with stride 4.",
            names={"resnet": "ResNet", "patchify": "Patchify"},
        ),
        Control(
            "downsampling",
            "In the block: a stage's first block has stride 2. Separate: a norm and a 2×2 "
            "convolution with stride 2 between stages, plus a norm after the stem and after "
            "pooling.",
            names={"in_block": "In the block", "separate": "Separate"},
        ),
    ),
    "Block": (
        Control(
            "block",
            "Bottleneck: wide, narrow, wide. Inverted: narrow, wide, narrow.",
            names={"bottleneck": "Bottleneck", "inverted": "Inverted"},
        ),
        Control("kernel_size", "Side of the spatial convolution: an odd number of pixels."),
        Control(
            "depthwise",
            "Yes: the spatial convolution gives every channel its own filter.",
        ),
        Control(
            "depthwise_position",
            "Position of the depthwise convolution: between the 1×1 convolutions or before them.",
            names={"middle": "Middle", "first": "First"},
        ),
        Control("groups", "Groups of the spatial convolution (ResNeXt's cardinality)."),
        Control(
            "group_width",
            "Channels per group in the first stage, doubling in each later stage. Empty: the "
            "width's share.",
        ),
    ),
    "Micro design": (
        Control("activation", "Nonlinearity used throughout.", names=ACTIVATIONS),
        Control(
            "activations_per_block",
            "3: after each norm and after the addition. 1: before the last 1×1 convolution.",
        ),
        Control(
            "norm",
            "Batch norm or layer norm throughout. With layer norm, convolutions have a bias.",
            names={kind: label(name) for kind, name in NORMS.items()},
        ),
        Control(
            "norms_per_block",
            "3: after each convolution. 1: after the depthwise convolution of an inverted block.",
        ),
        Control("response_norm", "Global response normalization before the last convolution."),
    ),
    "Input, output and training": (
        Control("num_classes", "0: no classifier; the network returns features.", "Classes"),
        Control("in_channels", "Number of image channels.", "Input channels"),
        Control(
            "layer_scale",
            "Initial value of a learned factor per channel on the residual branch. Empty: no "
            "factor.",
        ),
        Control(
            "stochastic_depth",
            "Drop probability of the last block; it grows linearly from 0 at the first.",
        ),
        Control(
            "init",
            "Kaiming: He et al. 2015, as in ResNet. Truncated normal: standard deviation 0.02, as "
            "in ConvNeXt. PyTorch's default: as in the authors' runs of the steps in between.",
            "Initialization",
            names={
                "kaiming": "Kaiming",
                "trunc_normal": "Truncated normal",
                "default": "PyTorch's default",
            },
        ),
    ),
}
CONTROLS: dict[str, Control] = {
    control.field: control for controls in GROUPS.values() for control in controls
}


@dataclass(frozen=True)
class Refused:
    """Invalid values: as the controls show them, the reason, and the field whose control shows
    it. ``over`` is the config that they would have replaced."""

    values: Mapping[str, Any]
    reason: str
    field: str
    over: ModelConfig


def show(
    config: ModelConfig,
    refused: Refused | None,
    on_change: Callable[[str], None],
    on_undo: Callable[[], None],
) -> None:
    """Show every control, with the values of ``config`` or the refused ones.

    ``on_change`` is called with the changed field; ``chosen`` then returns the values.
    ``on_undo`` is called to discard refused values.
    """
    values = refused.values if refused else _shown(config)
    for name in FIELDS:
        st.session_state[_key(name)] = values[name]
    for group, controls in GROUPS.items():
        st.html(markup.heading(group, 2, "subsection"))
        for place, control in enumerate(controls):
            if place % 2 == 0:  # columns per row, so that the rows align
                alone = place + 1 == len(controls)
                columns = [st.container()] if alone else st.columns(2, gap="medium")
            with columns[place % 2]:
                _widget(control, on_change)
                if refused and refused.field == control.field:
                    _refusal(refused.reason, on_undo)


def _refusal(reason: str, on_undo: Callable[[], None]) -> None:
    with st.container(key="refusal", gap=None):
        st.html(markup.refusal(reason))
        st.button(
            "Discard",
            key="discard",
            type="tertiary",
            on_click=on_undo,
            help="Restore the last valid values, whose costs are shown.",
        )


def chosen(changed: str, over: ModelConfig) -> ModelConfig | Refused:
    """Return the controls' config after ``changed`` was edited, or what is wrong with it."""
    values = {name: st.session_state[_key(name)] for name in FIELDS}
    values["depths"] = values["depths"][:LONGEST]
    try:
        return ModelConfig(**{name: _read(name, value) for name, value in values.items()})
    except ConfigError as error:
        place = changed if changed in error.fields else error.fields[0]
        return Refused(values, _sentence(str(error)), place, over)


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
