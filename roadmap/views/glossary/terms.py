"""All terms of the glossary, by group, in the order of the page."""

from __future__ import annotations

from roadmap.views.glossary.network_terms import NETWORK
from roadmap.views.glossary.term import Term
from roadmap.views.glossary.training_terms import TRAINING

GROUPS: dict[str, tuple[Term, ...]] = NETWORK | TRAINING
TERMS: dict[str, Term] = {term.key: term for terms in GROUPS.values() for term in terms}
