"""All terms of the field with their drawings; definitions unfold on a click."""

from __future__ import annotations

from html import escape

import streamlit as st

from models.text import unknown_name
from roadmap.views.common import markup
from roadmap.views.glossary.marks import more
from roadmap.views.glossary.term import Term
from roadmap.views.glossary.terms import GROUPS, TERMS

LEAD = (
    "The terms of the field, each with a drawing. Click a name for the definition. On the other "
    "pages, the first occurrence of a term is underlined and opens the same drawing."
)


def show() -> None:
    """Show the whole page; the URL parameter ``term`` unfolds one."""
    wanted = st.query_params.get("term", "")
    problem = unknown_name("term", wanted, tuple(TERMS)) if wanted and wanted not in TERMS else ""
    st.html(
        markup.opening("Glossary", LEAD) + (markup.notice(problem) if problem else "") + _find()
    )
    for title, terms in GROUPS.items():
        st.html(f'<h2 class="section" id="{_anchor(title)}">{escape(title)}</h2>')
        cards = "".join(_entry(term, term.key == wanted) for term in terms)
        st.markdown(f'<div class="glossary">{cards}</div>', unsafe_allow_html=True)


def _find() -> str:
    """Return a field that ``glossary.js`` reads, and links to the groups."""
    links = " ".join(f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title in GROUPS)
    return (
        '<div class="glossary-find"><label>Find a term<input type="search" autocomplete="off">'
        f'</label><span role="status"></span><nav aria-label="Groups">{links}</nav></div>'
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _entry(term: Term, wanted: bool) -> str:
    state, mark = (" open", " data-wanted") if wanted else ("", "")
    return (
        f'<div class="glossary-card" data-forms="{escape(" ".join(term.forms))}"{mark}>'
        f'<div class="term-picture">{term.draw()}</div>'
        f"<details{state}><summary>{escape(term.name)}</summary>"
        f"<p>{escape(term.definition)}</p>{more(term)}</details></div>"
    )
