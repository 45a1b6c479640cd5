"""One plugin: what was registered, and the options that a config may give it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ValidationError, create_model

from funnel.errors import ConfigError
from funnel.settings import Settings
from funnel.values.nearest import hint
from funnel.values.shown import shown

Kind = Literal["reader", "source", "stage", "feature", "metric", "loss", "encoder", "gate", "text"]

#: Options of one plugin, by name.
Given = Mapping[str, Any]


class UnknownPlugin(ConfigError, ValueError):
    """No such plugin, or options that it does not take. A ValueError too, so that it is told with all other
    mistakes of a config."""


@dataclass(frozen=True)
class Plugin:
    """Something that was registered. make: what was decorated; its keyword-only arguments are options."""

    kind: Kind
    name: str
    make: Callable[..., Any]

    @property
    def module(self) -> str:
        """Where it was defined."""
        return str(getattr(self.make, "__module__", None) or "")

    @property
    def own(self) -> bool:
        """Whether it is funnel's."""
        return self.module.split(".")[0] == "funnel"

    @cached_property
    def options(self) -> type[BaseModel]:
        """Its options as a model: names, types, defaults."""
        fields = {
            parameter.name: (
                _annotation(parameter, self.make),
                ... if parameter.default is parameter.empty else parameter.default,
            )
            for parameter in inspect.signature(self.make).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        return create_model(self.name, __base__=Settings, **fields)  # type: ignore[call-overload]

    def bound(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options, checked, as the plugin is called with them. Raises: UnknownPlugin naming the one that is
        unknown, missing or of another type."""
        try:
            return dict(self.options.model_validate(dict(given)))
        except ValidationError as error:
            explanations = "; ".join(self._explained(problem) for problem in error.errors())
            raise UnknownPlugin(f"{self.kind} {self.name!r}: {explanations}") from error

    def _explained(self, problem: Any) -> str:
        option = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = self.options.model_fields
            return f"it has no option {option!r}; {hint(option, known)}"
        if problem["type"] == "missing":
            return f"the option {option!r} is missing"
        return f"the option {option!r} is {shown(problem['input'])}: {problem['msg']}"


def _annotation(parameter: inspect.Parameter, target: Any) -> Any:
    """The type of an option; anything where its annotation cannot be read."""
    if parameter.annotation is parameter.empty:
        return Any
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    function = vars(target).get("__init__") if isinstance(target, type) else inspect.unwrap(target)
    try:
        return eval(parameter.annotation, getattr(function, "__globals__", {}))
    except Exception:
        return Any
