"""Whether rules can be asked of a catalogue: before anything is built, and when a bundle is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from funnel.catalogue.columns import FilterColumn
from funnel.catalogue.expression import read
from funnel.catalogue.layout import Numbers, Terms
from funnel.errors import ConfigError
from funnel.rules.config import Rule
from funnel.values.nearest import hint


def check_rules(rules: Sequence[Rule], columns: Mapping[str, FilterColumn]) -> None:
    """Raises: ConfigError naming a rule and what it asks for that the items do not have: a column, one of
    numbers, or a value that a filter's column cannot have."""
    for rule in rules:
        for name in rule.money:
            _check_column(rule, name, columns, is_money=True)
        for name in rule.coded:
            _check_column(rule, name, columns, is_money=False)
        where: Any = getattr(rule, "where", None)
        if where is not None:
            try:
                read(where, columns)
            except ConfigError as error:
                raise ConfigError(f"rule {rule.label!r}: {error}{_near(where, columns)}") from error


def _check_column(rule: Rule, name: str, columns: Mapping[str, FilterColumn], is_money: bool) -> None:
    if name == "item_id" and not is_money and rule.kind in ("cap", "budget"):
        return
    column = columns.get(name)
    if column is None:
        raise ConfigError(f"rule {rule.label!r}: items have no column {name!r}; {hint(name, columns)}")
    if is_money and not (isinstance(column, Numbers) or not column.kinds):
        raise ConfigError(
            f"rule {rule.label!r}: column {name!r} holds {_kinds(column)}; numbers are expected"
        )
    if not is_money and not isinstance(column, Numbers | Terms):
        raise ConfigError(f"rule {rule.label!r}: column {name!r} has no values that could be counted")


def _kinds(column: FilterColumn) -> str:
    return " and ".join(f"{kind}s" for kind in sorted(column.kinds))


def _near(where: Mapping[str, Any], columns: Mapping[str, FilterColumn]) -> str:
    """The nearest name to the first unknown column of a filter."""
    unknown = [name for name in where if name not in columns and name not in ("and", "or", "not")]
    return f"; {hint(unknown[0], columns)}" if unknown else ""
