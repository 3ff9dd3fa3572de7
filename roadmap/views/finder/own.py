"""A user's own config as a candidate: the network that the Builder holds."""

from __future__ import annotations

import streamlit as st

from models.config import ConfigError
from roadmap.find.candidates import Candidate, of_config
from roadmap.views.common import builder_address
from roadmap.views.common.builder_address import StartingPoint


def own_config() -> Candidate | None:
    """Return the network last changed in the Builder in this session, or None."""
    said = st.session_state.get("builder")
    if not said:
        return None
    builder = builder_address.parse(said, StartingPoint("resnet50", "baseline"))
    try:
        chosen = builder.current
        return of_config(chosen.config, builder.image_size) if chosen.changes else None
    except (ConfigError, ValueError):
        return None
