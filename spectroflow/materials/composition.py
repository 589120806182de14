"""Chemical composition from a formula as people and databases write it.

Understood are plain formulas (``CaCO3``), and the markup of the RRUFF project: subscripts between
underscores, charges between carets, ``[box]`` for a vacancy, commas between elements that share a site,
ranges and unknown amounts (``_4.5-2.5_``, ``_2-x_``), and ``_Σ=5_`` after a site whose amounts are given::

    Ca_2_(Mg_4.5-2.5_Fe^2+^_0.5-2.5_)Si_8_O_22_(OH)_2_

What is not a number is resolved plainly: a range is its middle, ``2-x`` is 2, ``x`` and ``n`` are 1, and
elements that share a site get equal parts of it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from spectroflow.errors import InvalidInput

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm"
)
ELEMENTS = tuple(_SYMBOLS.split())
ATOMIC_NUMBER = {symbol: number for number, symbol in enumerate(ELEMENTS, start=1)}
OXYGEN = ATOMIC_NUMBER["O"]

_TOKEN = re.compile(
    r"(?P<vacancy>\[box\]|□|◻)"
    r"|(?P<charge>\^[^^]*\^|\([IVX]+\))"
    r"|(?P<sub>_[^_]*_)"
    r"|(?P<number>\d+(?:\.\d+)?(?:-\d+(?:\.\d+)?)?)"
    r"|(?P<element>[A-Z][a-z]?)"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<comma>,)"
    r"|(?P<dot>[·•*.∙])"
    r"|(?P<unknown>[nx](?![a-z]))"
)


def parse_formula(text: str) -> dict[str, float]:
    """Return the amount of each element in a formula unit.

    Parameters
    ----------
    text
        A formula, with or without RRUFF markup or HTML subscripts.

    Returns
    -------
    dict
        ``{symbol: amount > 0}`` in the order of atomic numbers.

    Raises
    ------
    InvalidInput
        The text is no formula; the message names the place.
    """
    plain = re.sub(r"\s+|</?\w+>", "", html.unescape(text))
    if not plain:
        raise InvalidInput("the formula is empty")
    total: dict[str, float] = {}
    position = 0
    while position < len(plain):  # parts separated by a dot, such as CaSO4 and 2 H2O
        part, position = _group(plain, position, None)
        _add(total, part, 1.0)
    if not total:
        raise InvalidInput("there is no element in the formula", where=text)
    return {symbol: total[symbol] for symbol in sorted(total, key=ATOMIC_NUMBER.__getitem__)}


def fractions(formulas: Sequence[Mapping[str, float] | None]) -> npt.NDArray[np.float32]:
    """Return atomic fractions, ``(n, len(ELEMENTS))`` float32; rows of NaN where there is no composition."""
    result = np.full((len(formulas), len(ELEMENTS)), np.nan, np.float32)
    for row, amounts in enumerate(formulas):
        if amounts:
            result[row] = 0.0
            whole = sum(amounts.values())
            for symbol, amount in amounts.items():
                result[row, ATOMIC_NUMBER[symbol] - 1] = amount / whole
    return result


def parse_all(texts: Sequence[str]) -> list[dict[str, float] | None]:
    """Parse many formulas; None for those that are empty or do not parse."""
    known: dict[str, dict[str, float] | None] = {}
    for text in set(texts):
        try:
            known[text] = parse_formula(text) if text else None
        except InvalidInput:
            known[text] = None
    return [known[text] for text in texts]


def _group(text: str, position: int, closing: str | None) -> tuple[dict[str, float], int]:
    """Read up to the closing bracket, a dot at the top level, or the end; return amounts and the next position."""
    shares: list[dict[str, float]] = []
    current: dict[str, float] = {}
    factor = 1.0
    if leading := re.compile(r"(\d+(?:\.\d+)?|[nx](?=[A-Z(]))").match(text, position):
        factor = _amount(leading.group())
        position = leading.end()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            place = f"{text}, character {position + 1}"
            raise InvalidInput(f"{text[position]!r} has no meaning in a formula", where=place)
        kind, token, position = match.lastgroup, match.group(), match.end()
        if kind == "element":
            symbol = token if token in ATOMIC_NUMBER else token[0]
            if symbol not in ATOMIC_NUMBER:
                raise InvalidInput(f"{token!r} is no element", where=text)
            position -= len(token) - len(symbol)
            amount, position = _subscript(text, position)
            _add(current, {symbol: 1.0}, amount)
        elif kind == "vacancy":
            _, position = _subscript(text, position)
        elif kind == "open":
            inner, position = _group(text, position, {"(": ")", "[": "]", "{": "}"}[token])
            amount, position = _subscript(text, position)
            _add(current, inner, amount)
        elif kind == "comma":
            shares.append(current)
            current = {}
        elif kind == "close":
            if token != closing:
                raise InvalidInput(f"{token!r} closes nothing", where=text)
            return _scaled(_shared([*shares, current]), factor), position
        elif kind == "dot" and closing is None:
            break
    if closing is not None:
        raise InvalidInput(f"a bracket is not closed by {closing!r}", where=text)
    return _scaled(_shared([*shares, current]), factor), position


def _subscript(text: str, position: int) -> tuple[float, int]:
    """Return the amount after an element or a bracket, and where it ends; charges in between are passed over."""
    amount = 1.0
    while match := _TOKEN.match(text, position):
        kind, token = match.lastgroup, match.group()
        if kind == "sub":
            amount = _amount(token.strip("_"))
        elif kind == "number":
            amount = _amount(token)
        elif kind == "unknown":
            amount = 1.0
        elif kind != "charge":
            break
        position = match.end()
    return amount, position


def _amount(text: str) -> float:
    if "=" in text:  # the sum of a site whose parts are given one by one
        return 1.0
    numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]
    if not numbers:
        return 1.0
    letters = re.search(r"[a-zA-Z]", text)
    return numbers[0] if letters else sum(numbers) / len(numbers)


def _shared(parts: list[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        _add(total, part, 1.0 / len(parts))
    return total


def _scaled(amounts: dict[str, float], factor: float) -> dict[str, float]:
    return {symbol: amount * factor for symbol, amount in amounts.items()}


def _add(total: dict[str, float], amounts: Mapping[str, float], factor: float) -> None:
    for symbol, amount in amounts.items():
        if amount * factor > 0:
            total[symbol] = total.get(symbol, 0.0) + amount * factor
