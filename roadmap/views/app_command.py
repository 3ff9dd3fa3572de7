"""``python -m roadmap app``. Streamlit is imported when the command runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from roadmap.console import fail
from roadmap.errors import RefusedError
from roadmap.tables.results import ROOT
from roadmap.visitors import VARIABLE, checked_setting


def app_command(
    port: Annotated[
        int,
        typer.Option("--port", min=1, max=65535, help="Port to listen on.", metavar="PORT"),
    ] = 8501,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            help="Address to listen on; 0.0.0.0 means all addresses. Visitors from other machines "
            "have read-only access unless ROADMAP_PUBLIC=0.",
            metavar="ADDRESS",
        ),
    ] = "localhost",
) -> None:
    """Serve the interactive explorer until Ctrl-C."""
    from streamlit.web.cli import main as streamlit

    try:
        checked_setting(os.environ.get(VARIABLE, ""))
    except RefusedError as error:
        fail(str(error))
    served = [f"--server.port={port}", f"--server.address={address}", "--server.headless=true"]
    streamlit(["run", str(ROOT / "app.py"), *served], prog_name="streamlit")
