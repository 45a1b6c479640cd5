"""An arithmetic expression from a config: parsed once, its names known, evaluated over arrays. Never run as
code."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import ConfigError
from funnel.values.nearest import hint

Float64 = NDArray[np.float64]
_Evaluate = Callable[[Mapping[str, Any]], Any]

#: Longest text, and deepest nesting.
_LONGEST, _DEEPEST = 1000, 50


def _divided(value: Any, by: Any) -> Any:
    """NaN where it is by 0."""
    return np.where(np.equal(by, 0), np.nan, np.divide(value, by))


def _power(base: Any, exponent: Any) -> Any:
    """NaN where it is a division by 0, and of what is not known whatever the exponent."""
    unknown = np.isnan(base) | np.isnan(exponent) | (np.equal(base, 0) & np.less(exponent, 0))
    return np.where(unknown, np.nan, np.power(base, exponent))


def _log(value: Any) -> Any:
    """NaN of 0, as of less."""
    return np.where(np.equal(value, 0), np.nan, np.log(value))


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: _divided,
    ast.Pow: _power,
}
_OF_ONE: dict[str, Callable[[Any], Any]] = {"log": _log, "exp": np.exp, "abs": np.abs}
_OF_SEVERAL: dict[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}


@dataclass(frozen=True)
class Formula:
    """An expression over named numbers: + - * / ** parentheses, min, max, log (natural), exp, abs.

    text: as it was written. names: what it reads, in the order in which they come, each once.
    """

    text: str
    names: tuple[str, ...]
    _evaluate: _Evaluate

    @classmethod
    def parse(cls, text: str) -> Formula:
        """Raises: ConfigError saying what cannot be in an expression, and where."""
        if len(text) > _LONGEST:
            raise ConfigError(f"the expression has {len(text):,} characters, {_LONGEST:,} at most are read")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            where = f" at character {error.offset}" if error.offset else ""
            raise ConfigError(f"{text!r} is no expression: {error.msg}{where}") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"{text!r:.200} is no expression: {error}") from error
        names: dict[str, None] = {}
        evaluate = _node(tree.body, names, 0)
        return cls(text, tuple(names), evaluate)

    def __call__(self, values: Mapping[str, Any]) -> Float64:
        """The value at each position: float64, of the shape of what is given.

        values: an array or a number a name. What is not known (NaN) or not defined (divided by 0, the
        logarithm of 0 or less) is NaN, and so is all that is made of it, also by `min`, `max` and `** 0`.
        What is beyond what a number can be is infinite. There is never an error.
        """
        with np.errstate(all="ignore"):
            return np.asarray(self._evaluate(values), dtype=np.float64)

    def check(self, known: Sequence[str]) -> None:
        """Raises: ConfigError for a name that is not known, with the nearest one that is."""
        for name in self.names:
            if name not in known:
                raise ConfigError(f"{name!r} in {self.text!r} is not known; {hint(name, known)}")


def _node(node: ast.expr, names: dict[str, None], depth: int) -> _Evaluate:
    """What evaluates one part of the expression."""
    if depth > _DEEPEST:
        raise ConfigError(f"an expression is nested {_DEEPEST} deep at most")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _constant(number)
        case ast.Name(id=name):
            names.setdefault(name)
            return lambda values: values[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            inner = _node(operand, names, depth + 1)
            return (lambda values: -inner(values)) if isinstance(sign, ast.USub) else inner
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _pair(_OPERATORS[type(operator)], left, right, names, depth)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _OF_ONE | _OF_SEVERAL:
            return _call(name, args, names, depth)
    raise _cannot(node)


def _constant(number: float) -> _Evaluate:
    try:
        value = np.float64(number)
    except OverflowError:
        value = np.float64(math.inf)
    if not math.isfinite(value):
        raise ConfigError("a number in the expression is too large")
    return lambda _: value


def _pair(
    apply: Callable[[Any, Any], Any], left: ast.expr, right: ast.expr, names: dict[str, None], depth: int
) -> _Evaluate:
    first, second = _node(left, names, depth + 1), _node(right, names, depth + 1)
    return lambda values: apply(first(values), second(values))


def _call(name: str, args: list[ast.expr], names: dict[str, None], depth: int) -> _Evaluate:
    inner = [_node(argument, names, depth + 1) for argument in args]
    if name in _OF_ONE:
        if len(inner) != 1:
            raise ConfigError(f"{name}() takes one value, not {len(inner)}")
        only, of_one = inner[0], _OF_ONE[name]
        return lambda values: of_one(only(values))
    if len(inner) < 2:
        raise ConfigError(f"{name}() takes two values or more, not {len(inner)}")
    return _folded(_OF_SEVERAL[name], inner)


def _folded(apply: Callable[[Any, Any], Any], inner: list[_Evaluate]) -> _Evaluate:
    def evaluate(values: Mapping[str, Any]) -> Any:
        result = inner[0](values)
        for each in inner[1:]:
            result = apply(result, each(values))
        return result

    return evaluate


def _cannot(node: ast.expr) -> ConfigError:
    """What was written, and what may be."""
    may = f"numbers, names, + - * / **, parentheses, {', '.join([*_OF_SEVERAL, *_OF_ONE])}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        near = hint(node.func.id, [*_OF_SEVERAL, *_OF_ONE])
        return ConfigError(f"{node.func.id}() is not known in an expression; {near}")
    return ConfigError(f"{ast.unparse(node)!r:.100} cannot be in an expression; it is made of {may}")
