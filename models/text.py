"""Values in messages and JSON: shortened, escaped, always valid."""

from __future__ import annotations

import difflib
import json
import math
import re
from typing import Any

#: Most characters of a value (a SHA-256 has 64), a path and a whole message.
LONGEST_VALUE, LONGEST_PATH, LONGEST_MESSAGE = 80, 400, 8000


def shortened(text: object, longest: int = LONGEST_PATH) -> str:
    """Shorten ``text`` to ``longest`` characters in the middle, to keep both ends of a path."""
    text = str(text)
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def bounded(message: str) -> str:
    """Shorten words of over ``LONGEST_PATH`` characters in ``message``.

    It may quote them from a file, a URL or the command line.
    """
    words = re.sub(rf"\S{{{LONGEST_PATH + 1},}}", lambda word: shortened(word[0]), message)
    return shortened(words, LONGEST_MESSAGE)


def ended(message: object) -> str:
    """Add a period to ``message`` unless it ends with a punctuation mark.

    An error's message of one clause has no period. Code that prints a message, or adds a sentence
    to it, calls this.
    """
    text = str(message)
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def said(value: object, longest: int = LONGEST_VALUE) -> str:
    """Format ``value`` as in code, in at most ``longest`` characters.

    It may come from a file, a URL or the command line and have any length.
    """
    if isinstance(value, str):  # shortened first, to avoid escaping a whole file
        value = shortened(value, longest)
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    except ValueError:  # Python limits the length of integers
        text = "a number with thousands of digits"
    return shortened(text, longest + 2)


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be encoded: JSON and file names may have lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_text(value: Any, **options: Any) -> str:
    """Return ``value`` as standard JSON, with null for NaN and infinity."""
    return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def unknown_name(kind: str, name: str, names: tuple[str, ...]) -> str:
    """Return an error message for an unknown name, with the nearest match and all names."""
    return f"No {kind} is named {said(name)}.{existing(name, names)}"


def existing(name: str, names: tuple[str, ...]) -> str:
    """Return what to use instead of ``name``: the nearest of ``names``, and all of them."""
    near = difflib.get_close_matches(shortened(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    between = "; " if any("," in each for each in names) else ", "
    return f"{hint} Available: {between.join(names)}."
