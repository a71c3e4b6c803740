"""What a user may set: texts in, checked decimals out."""

import re
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

from strategy_service.errors import ParameterInvalid, ParameterUnknown
from strategy_service.language import Outline, Parameter

Values = Mapping[str, Decimal]

_INTEGER = re.compile(r"-?\d{1,9}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)


def resolve(outline: Outline, texts: Mapping[str, str]) -> dict[str, Decimal]:
    """The value of every parameter: the given one, or its default.

    Raises:
        ParameterUnknown: A name that the strategy does not have.
        ParameterInvalid: Not a number, out of range, or not below the one that it must be below.
    """
    names = [parameter.name for parameter in outline.parameters]
    for name in texts:
        if name not in names:
            raise ParameterUnknown(outline.key, name, names)
    values = {
        parameter.name: _read(parameter, texts[parameter.name])
        if parameter.name in texts
        else parameter.default
        for parameter in outline.parameters
    }
    for group in outline.ascending:
        for smaller, larger in pairwise(group):
            if values[smaller.name] >= values[larger.name]:
                raise ParameterInvalid(smaller.name, f"must be below {larger.name}")
    return values


def plain(value: Decimal) -> str:
    """A value as a user writes it, for example "1.5" or "12"."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _read(parameter: Parameter, text: str) -> Decimal:
    pattern, wanted = (_INTEGER, "a whole number") if parameter.integer else (_DECIMAL, "a decimal number")
    if not pattern.fullmatch(text):
        raise ParameterInvalid(parameter.name, f"must be {wanted}")
    value = Decimal(text)
    if not parameter.minimum <= value <= parameter.maximum:
        raise ParameterInvalid(
            parameter.name, f"must be from {plain(parameter.minimum)} to {plain(parameter.maximum)}"
        )
    return value
