"""What the program says to people and to other programs: values in messages, JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

#: Characters of a value (a SHA-256 has 64), and of a path, in a message, and of a message.
LONGEST_VALUE, LONGEST_PATH, LONGEST_MESSAGE = 80, 400, 8000


def shortened(text: object, longest: int = LONGEST_PATH) -> str:
    """``text`` in at most ``longest`` characters, cut in the middle: both ends of a path tell."""
    text = str(text)
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def bounded(message: str) -> str:
    """``message`` as it is printed, with what it repeats of a file, a URL or the command line
    shortened: a word of over ``LONGEST_PATH`` characters is no word of ours."""
    words = re.sub(rf"\S{{{LONGEST_PATH + 1},}}", lambda word: shortened(word[0]), message)
    return shortened(words, LONGEST_MESSAGE)


def said(value: object, longest: int = LONGEST_VALUE) -> str:
    """``value`` as it is written in code, in at most ``longest`` characters: it may come from a
    file, a URL or the command line and be of any length."""
    if isinstance(value, str):  # shortened first: a message does not need all of a file escaped
        value = shortened(value, longest)
    try:
        text = repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    except ValueError:  # Python writes whole numbers up to some length
        text = "a number of thousands of digits"
    return shortened(text, longest + 2)


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written: JSON and names of files can hold half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_text(value: Any, **options: Any) -> str:
    """``value`` as JSON that every reader takes: NaN and infinity, which it lacks, are null."""
    return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
