"""Access to the explorer: everyone may read, only the owner may start work.

Work is anything that trains, measures or creates files on the machine that serves the pages. It is
disabled for visitors from other machines. ``ROADMAP_PUBLIC=0`` enables it for everyone,
``ROADMAP_PUBLIC=1`` disables it for everyone; set it as an environment variable or a Streamlit
secret. Imports no streamlit: without a served page there are no visitors.
"""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from urllib.parse import urlsplit

from models.text import said
from roadmap.errors import RefusedError

VARIABLE = "ROADMAP_PUBLIC"
CLOSED, OPEN = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
#: Headers that proxies and tunnels add: the visitor is on another machine.
FORWARDED = (
    *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"),
    *("Cf-Connecting-Ip", "True-Client-Ip"),
)


def require_owner(doing: str) -> None:
    """Raise ``RefusedError`` if the calling page serves a public visitor.

    ``doing``, such as "Training", starts the message. Everything that starts or stops work calls
    this, since programs can press hidden or disabled buttons.
    """
    if is_public():
        raise RefusedError(
            f"{doing} is disabled on this public explorer; run it on your own machine."
        )


def is_public() -> bool:
    """Whether the caller may only read; False outside a served page."""
    if _page_runs():
        setting = setting_of(os.environ.get(VARIABLE) or _secret())
        return _from_elsewhere() if setting is None else setting
    return False


def _secret() -> str:
    import streamlit as st

    return str(st.secrets.get(VARIABLE, "")) if st.secrets.load_if_toml_exists() else ""


def setting_of(text: str) -> bool | None:
    """Whether the variable's value ``text`` disables work; None if it is empty.

    A value that is neither yes nor no disables it.
    """
    word = text.strip().lower()
    return None if not word else word not in OPEN


def checked_setting(text: str) -> None:
    """Raise ``RefusedError`` if the variable's value ``text`` is neither yes nor no."""
    word = text.strip().lower()
    if word and word not in (*OPEN, *CLOSED):
        raise RefusedError(
            f"{VARIABLE} is {said(text)}; use 1 (visitors may only read) or 0 (everyone may train, "
            "measure and create files)."
        )


def _page_runs() -> bool:
    """Whether this thread is serving a page."""
    if "streamlit" not in sys.modules:
        return False
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    return get_script_run_ctx(suppress_warning=True) is not None


def _from_elsewhere() -> bool:
    """Whether the visitor may be on another machine: true unless all evidence says otherwise.

    A program can send any header and any page URL, but it cannot choose what the server listens on
    or where its connection comes from. Headers are checked because a proxy on this machine
    connects from this machine.
    """
    import streamlit as st

    if not is_loopback(st.get_option("server.address") or ""):
        return True  # reachable by others; streamlit run listens on all addresses
    context = st.context
    host = context.headers.get("Host")
    return (
        host is None  # the session has ended
        or context.ip_address is not None  # it is None for this machine
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
    """Whether ``host``, a name or an address, is only this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
