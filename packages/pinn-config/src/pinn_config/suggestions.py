"""The known name that was probably meant by an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]

_SIMILAR = 0.6  # of difflib's ratio, which is 1 for equal words


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The name in `known` that is most like `word`, or that alone begins with it; None if none is close.

    >>> nearest("recnstruct", ["train", "reconstruct"]), nearest("val", ["data", "validation"])
    ('reconstruct', 'validation')
    """
    names = list(known)
    longer = [name for name in names if word and name.startswith(word)]
    if len(longer) == 1:
        return longer[0]
    return next(iter(difflib.get_close_matches(word, names, n=1, cutoff=_SIMILAR)), None)
