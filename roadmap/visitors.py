"""What a visitor of the explorer may do: read everything, and start work only for the owner.

Work is what trains, times, or makes files on the machine that serves the pages. It is closed to
visitors from elsewhere; ``ROADMAP_PUBLIC=0`` opens it to everyone, ``ROADMAP_PUBLIC=1`` closes it
to everyone, as an environment variable or a Streamlit secret. Imports no streamlit: where no page
is served, there is no visitor.
"""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from urllib.parse import urlsplit

from models.text import said
from roadmap.train.errors import RefusedError

VARIABLE = "ROADMAP_PUBLIC"
CLOSED, OPEN = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
#: What proxies and tunnels add: the visitor is somewhere else.
FORWARDED = (
    *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"),
    *("Cf-Connecting-Ip", "True-Client-Ip"),
)


def require_owner(doing: str) -> None:
    """Raise ``RefusedError`` where the page that asks is open to the public.

    ``doing`` begins the sentence, "Training". Whatever starts or stops work calls it: a button
    that is hidden or disabled can still be pressed by a program.
    """
    if is_public():
        raise RefusedError(f"{doing} is closed on this public explorer: run it on your machine.")


def is_public() -> bool:
    """Whether whoever asks may only read; False where no page asks."""
    if _page_runs():
        setting = setting_of(os.environ.get(VARIABLE) or _secret())
        return _from_elsewhere() if setting is None else setting
    return False


def _secret() -> str:
    import streamlit as st

    return str(st.secrets.get(VARIABLE, "")) if st.secrets.load_if_toml_exists() else ""


def setting_of(text: str) -> bool | None:
    """Whether ``text``, the variable's, closes the explorer; None where it is empty.

    What is neither yes nor no closes it.
    """
    word = text.strip().lower()
    return None if not word else word not in OPEN


def checked_setting(text: str) -> None:
    """Raise ``RefusedError`` where ``text``, the variable's, is neither yes nor no."""
    word = text.strip().lower()
    if word and word not in (*OPEN, *CLOSED):
        raise RefusedError(
            f"{VARIABLE} is {said(text)}: use 1 (visitors only read) or 0 (everyone may train, "
            "measure and make files)."
        )


def _page_runs() -> bool:
    """Whether this thread runs a page for a visitor."""
    if "streamlit" not in sys.modules:
        return False
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    return get_script_run_ctx(suppress_warning=True) is not None


def _from_elsewhere() -> bool:
    """Whether the visitor may be on another machine: unless everything says that it is not.

    A program can send any header and any address of the page, but not choose what the server
    listens on, nor where its connection comes from. The headers are for proxies on this machine,
    whose connections come from it.
    """
    import streamlit as st

    if not is_loopback(st.get_option("server.address") or ""):
        return True  # others reach it; streamlit run listens on every address
    context = st.context
    host = context.headers.get("Host")
    return (
        host is None  # of a session that has ended
        or context.ip_address is not None  # which is None on this machine
        or any(name in context.headers for name in FORWARDED)
        or not all(
            is_loopback(_host(address))
            for address in (f"//{host}", context.headers.get("Origin"), context.url)
            if address
        )
    )


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
