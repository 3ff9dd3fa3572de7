"""The builder's controls, one per field of ``ModelConfig``: what they show and return."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from models.config import BOUNDS, CHOICES, FIELDS, ConfigError, ModelConfig
from models.text import ended
from roadmap.views.common.fields import CONTROLS, GROUPS, Control

#: Longest text that is parsed, in characters: a program may send megabytes.
LONGEST = 10_000


@dataclass(frozen=True)
class Refused:
    """Invalid values: as the controls show them, the reason, and the fields that it is about, first
    the one whose control shows it. ``over`` is the config that they would have replaced."""

    values: Mapping[str, Any]
    reason: str
    fields: tuple[str, ...]
    over: ModelConfig


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
    """Show the control of a field. It has no limits: ``ModelConfig`` says what is wrong."""
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
        if name == "group_width":
            common |= {"value": None, "placeholder": "none"}
        step = 2 if name == "kernel_size" else 1
        st.number_input(step=step, **common)
    elif name == "layer_scale":
        st.number_input(step=1e-6, format="%g", value=None, placeholder="none", **common)
    else:
        st.number_input(step=0.05, format="%g", **common)
