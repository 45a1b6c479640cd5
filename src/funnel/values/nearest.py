"""The hint that goes with a name that is not there: the one nearest to it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Share of the letters that two names must have in common (Ratcliff and Obershelp 1988) for a hint.
_ALIKE = 0.5


def nearest(name: object, known: Iterable[object]) -> str | None:
    """The known name that is most like this one; None where none is like it.

    >>> nearest("epoch", ["epochs", "lr"])
    'epochs'
    """
    matches = difflib.get_close_matches(str(name), [str(other) for other in known], n=1, cutoff=_ALIKE)
    return matches[0] if matches else None


def hint(name: object, known: Iterable[object], otherwise: str = "there are: ") -> str:
    """What to write behind "no such name": the nearest one, or behind `otherwise` all that there are.

    >>> hint("epoch", ["epochs", "lr"]), hint("x", ["epochs", "lr"])
    ("did you mean 'epochs'?", 'there are: epochs, lr')
    """
    names = [str(other) for other in known]
    near = nearest(name, names)
    return f"did you mean {near!r}?" if near else otherwise + (", ".join(names) or "none")
