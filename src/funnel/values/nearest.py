"""The hint for a name that does not exist: the nearest one that does."""

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
    """A hint behind "no such name": the nearest name, or `otherwise` and all names that there are.

    >>> hint("epoch", ["epochs", "lr"]), hint("x", ["epochs", "lr"])
    ("did you mean 'epochs'?", 'there are: epochs, lr')
    """
    names = [str(other) for other in known]
    near = nearest(name, names)
    return f"did you mean {near!r}?" if near else otherwise + (", ".join(names) or "none")
