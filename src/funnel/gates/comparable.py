"""Whether the figures of two bundles may stand side by side: what each was measured on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from funnel.artifacts import Manifest, Store
from funnel.evaluation import Subject
from funnel.settings import Settings

_UNKNOWN = "what was measured: a report cannot be read"

#: Options of `[split]` that say where windows lie; a report's `windows` have the days that came of them.
_WINDOWS = ("ranker", "test")

#: Options that the report's windows and protocol say already; `protocol` was `reading` once.
_NAMED = ("kind", "protocol", "reading")


class MeasuredOn(Settings):
    """What a bundle's figures are about. split: the options of `[split]`, without where windows lie."""

    subject: Subject
    split: dict[str, Any] = Field(default_factory=dict)

    @property
    def rules(self) -> str:
        """Data set, windows and protocol in words, without days: equal where figures are of one kind."""
        windows = self.subject.windows.partition(":")[0]
        options = [f"{name} = {json.dumps(value)}" for name, value in sorted(self.split.items())]
        options = [option for option in options if not option.startswith(_NAMED)]
        rules = f"{self.subject.dataset}: {windows}; protocol {self.subject.protocol}"
        return f"{rules}; {', '.join(options)}" if options else rules

    @property
    def window(self) -> tuple[str, str]:
        """The windows with their days, and the content of the data: equal where requests are the same."""
        return self.subject.windows, self.subject.checksum


def measured_on(folder: Path, manifest: Manifest) -> MeasuredOn | None:
    """What a bundle's report and config say; None where the report cannot be read."""
    try:
        subject = Subject.model_validate(json.loads((folder / "report.json").read_bytes())["subject"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    section = manifest.config.get("split")
    split = section if isinstance(section, dict) else {}
    return MeasuredOn(subject=subject, split={k: v for k, v in split.items() if k not in _WINDOWS})


def unlike(a: MeasuredOn | None, b: MeasuredOn | None) -> tuple[str, ...]:
    """Why the figures of two bundles are not of the same requests, each reason in words; none where they
    are."""
    if a is None or b is None:
        return (_UNKNOWN,)
    first, other = a.subject, b.subject
    pairs = {
        "data set": (first.dataset, other.dataset),
        "windows": (first.windows, other.windows),
        "protocol": (first.protocol, other.protocol),
        **{
            f"split.{name}": (a.split.get(name), b.split.get(name))
            for name in sorted({*a.split, *b.split} - {*_NAMED})
        },
    }
    differences = [f"{name}: {old} and {new}" for name, (old, new) in pairs.items() if old != new]
    return (*differences, "content of the data") if first.checksum != other.checksum else tuple(differences)


class Marked(Settings):
    """What a bundle was measured on, as a mark: letters are rules, numbers windows and data under them.

    rules: in words; None where the report cannot be read, and then the mark is "?".
    """

    mark: str
    rules: str | None


def marks(bundles: Sequence[MeasuredOn | None]) -> list[Marked]:
    """A mark for each, by first come: only figures with the same mark are of the same requests."""
    rules: dict[str, dict[tuple[str, str], int]] = {}
    marked_bundles = []
    for measured in bundles:
        if measured is None:
            marked_bundles.append(Marked(mark="?", rules=None))
            continue
        windows = rules.setdefault(measured.rules, {})
        number = windows.setdefault(measured.window, len(windows) + 1)
        letters = _letters(list(rules).index(measured.rules))
        marked_bundles.append(Marked(mark=f"{letters}{number}", rules=measured.rules))
    return marked_bundles


def marked(store: Store, manifests: Sequence[Manifest]) -> list[Marked]:
    """`marks` of bundles of a store."""
    return marks([measured_on(store.path(manifest.version), manifest) for manifest in manifests])


def _letters(number: int) -> str:
    """0 is a, 25 is z, 26 is aa."""
    rest, letter = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("a") + letter)
