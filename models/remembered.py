"""A cache bounded by the total size of its results (``lru_cache`` counts entries)."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Remembered(Protocol[P, R]):
    __wrapped__: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def remembered(most: int, size: Callable[[R], int]) -> Callable[[Callable[P, R]], Remembered[P, R]]:
    """Cache a function's latest results up to a total size of ``most``.

    Arguments must be hashable. Results larger than ``most`` and exceptions are not cached.
    ``__wrapped__`` is the original function.
    """

    def decorate(function: Callable[P, R]) -> Remembered[P, R]:
        kept: OrderedDict[Hashable, tuple[R, int]] = OrderedDict()
        total = 0
        lock = threading.Lock()

        @functools.wraps(function)
        def found(*args: P.args, **kwargs: P.kwargs) -> R:
            key = (args, tuple(sorted(kwargs.items())))
            with lock:
                if key in kept:
                    kept.move_to_end(key)
                    return kept[key][0]
            result = function(*args, **kwargs)
            _keep(key, result, size(result))
            return result

        def _keep(key: Hashable, result: R, own: int) -> None:
            nonlocal total
            with lock:
                if key in kept or own > most:  # another thread was first, or it is too large
                    return
                kept[key] = (result, own)
                total += own
                while total > most:
                    total -= kept.popitem(last=False)[1][1]

        return found

    return decorate
