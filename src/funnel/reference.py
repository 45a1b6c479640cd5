"""Every key of the config, from the settings' own descriptions: what the reference page and the CLI show."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from funnel.config import Config
from funnel.experiments.config import Arm, ExperimentConfig
from funnel.plugins.registry import names
from funnel.rules import KINDS

#: Keys that name plugins, and of which kind.
NAMED = {
    "data.reader": "reader", "retrieve.sources": "source", "features.names": "feature", "towers.loss": "loss",
    "encoder.name": "encoder",
    "rerank.stages": "stage",
}  # fmt: skip


class Key(NamedTuple):
    """One key of the config.

    name: with its section, as in "retrieve.k". kind: what it takes. default: as TOML writes it; "required"
    where there is none, "" where a key may be left out and has no value. description: what it is for.
    """

    name: str
    kind: str
    default: str
    description: str


def keys(model: type[BaseModel] = Config, section: str = "") -> Iterator[Key]:
    """The keys of a settings class, in the order in which it declares them, sections after one another."""
    for name, field in model.model_fields.items():
        inner = _settings(field.annotation)
        if inner is not None and get_origin(field.annotation) is dict:
            continue  # tables with names of their own, see `of_experiments`
        if inner is not None:
            yield from keys(inner, f"{section}{name}.")
        else:
            yield Key(
                section + name, _kind(field.annotation), _default(field), _described(section + name, field)
            )


def page() -> str:
    """The reference as Markdown, a table a section."""
    every = [*keys(), *of_rules(), *of_experiments()]
    lines = [
        "# Config reference",
        "",
        "Every key of a config file; `funnel config --all` writes this page. A key that is left out has its "
        "default.",
    ]
    section = None
    for key in every:
        group, _, name = key.name.rpartition(".")
        if group != section:
            section = group
            lines += ["", f"## {_heading(group)}", ""]
            lines += ["| key | takes | default | |", "|---|---|---|---|"]
        cells = (f"`{name}`", key.kind, f"`{key.default}`" if key.default else "", key.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def of_rules() -> Iterator[Key]:
    """The keys of each kind of `[[rules]]` table."""
    for kind, model in KINDS.items():
        yield from keys(model, f"rules.{kind}.")


def of_experiments() -> Iterator[Key]:
    """The keys of an experiment, and of each of its arms."""
    yield from keys(ExperimentConfig, "experiments.NAME.")
    yield from keys(Arm, "experiments.NAME.arms.ARM.")


def _heading(group: str) -> str:
    table, _, kind = group.partition(".")
    if table == "rules":
        return f'[[rules]] kind = "{kind}"'
    return f"[{group}]" if group else "At the top"


def _described(name: str, field: FieldInfo) -> str:
    """What a key is for, and the names that may be given without a plugin."""
    own = names(NAMED[name], own=True) if name in NAMED else []
    return (field.description or "") + (f"; there are: {', '.join(sorted(own))}" if own else "")


def _settings(annotation: Any) -> type[BaseModel] | None:
    """The settings class of a section, also of one that may be left out."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _kind(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(toml(argument) for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_kind(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    if hasattr(annotation, "__metadata__"):
        return _kind(arguments[0])
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return names.get(annotation, "text" if annotation is not Any else "anything")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined and field.default_factory is None:
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is None else toml(value)


def toml(value: Any) -> str:
    """A plain value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(part)}" for name, part in value.items()) + "}"
    return str(value)
