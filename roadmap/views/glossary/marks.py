"""Terms in the text of every page: what a browser needs to underline and to explain them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from roadmap.views.glossary.term import Term
from roadmap.views.glossary.terms import TERMS

HERE = Path(__file__).parent
#: Phrases that contain a term in another meaning.
OTHER_MEANINGS = (
    *("CUDA kernels", "depthwise kernels", "our kernels", "PyTorch's kernels"),
    *("Activations", "M activations", "activation memory", "Activation memory"),
    *("block specification", "URL parameter", "URL parameters", "warm-up runs"),
)


def show() -> None:
    """Underline the terms of the page and explain each on a click; call it once per page."""
    st.html(HERE / "glossary.css")
    st.html(script(), unsafe_allow_javascript=True)


@cache
def forms() -> dict[str, str]:
    """Return the key of the term for each of its forms; '' for phrases that mean something else.

    A form is singular or plural, and its first letter may be a capital.
    """
    found = {
        form: term.key
        for term in TERMS.values()
        for singular in (term.name, *term.forms)
        for text in (singular, plural(singular))
        for form in (text, text[0].upper() + text[1:], text[0].lower() + text[1:])
    }
    return found | dict.fromkeys(OTHER_MEANINGS, "")


def plural(text: str) -> str:
    if text.endswith("s"):
        return text
    return f"{text}es" if text.endswith(("ch", "x")) else f"{text}s"


@cache
def pattern() -> str:
    """Return the regular expression, for Python and JavaScript, of all forms in a text.

    The alternatives are plain words, longest first, which a browser searches for in one pass.
    """
    longest_first = sorted(forms(), key=lambda form: (-len(form), form))
    return rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])".replace("\\ ", " ")


def card(term: Term) -> str:
    """Return the drawing, the name and the definition of ``term``, with its source and links."""
    return (
        f'<div class="term-picture">{term.draw()}</div>'
        f'<p class="term-name">{escape(term.name)}</p>'
        f'<p id="term-definition">{escape(term.definition)}</p>'
        f"{more(term, glossary=True)}"
        '<button type="button" class="term-close" aria-label="Close" popovertarget="term-card" '
        'popovertargetaction="hide">×</button>'
    )


def more(term: Term, *, glossary: bool = False) -> str:
    """Return source and links of ``term``, if any: to its operation, to the page Glossary."""
    pieces = [f"<cite>{escape(term.source)}</cite>"] if term.source else []
    if term.step:
        query = urlencode({"roadmap": "resnet50", "step": term.step, "tab": "operation"})
        pieces.append(_link(f"inside?{query}", "Try it"))
    if glossary:
        pieces.append(_link(f"glossary?{urlencode({'term': term.key})}", "Glossary"))
    return f'<p class="term-more">{" ".join(pieces)}</p>' if pieces else ""


def _link(address: str, text: str) -> str:
    return f'<a href="{escape(address)}" target="_self">{text}</a>'


@cache
def script() -> str:
    """Return the script that marks terms, with its data.

    The data are compressed: every page carries them, and drawings shrink to a sixth.
    """
    code = (HERE / "glossary.js").read_text(encoding="utf-8")
    return f'<script>\nwindow.glossary ??= {{ packed: "{_packed()}" }};\n{code}</script>'


def _packed() -> str:
    data = {
        "pattern": pattern(),
        "forms": forms(),
        "cards": {key: card(term) for key, term in TERMS.items()},
    }
    text = json.dumps(data, ensure_ascii=False).encode()
    return base64.b64encode(zlib.compress(text, 9)).decode()
