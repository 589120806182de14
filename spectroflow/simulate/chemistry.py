"""Elements, bond valences, and what takes the places of a structure."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from spectroflow.simulate.prototypes import ANIONS, Array, Prototype, Role


@dataclass(frozen=True, slots=True)
class Element:
    """Mass in atomic mass units and X-ray scattering factor coefficients of one element.

    Attributes
    ----------
    mass
        Standard atomic weight.
    a, b, c
        Coefficients of ``f(s) = sum a exp(-b s^2) + c``, ``s = sin(theta) / lambda`` in 1/angstrom
        (International Tables for Crystallography, volume C, 1992, table 6.1.1.4).
    """

    symbol: str
    mass: float
    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float

    def scattering(self, s: Array) -> Array:
        """Return the scattering factor in electrons at ``s`` (1/angstrom), shape of ``s``."""
        squared = np.asarray(s)[..., None] ** 2
        return np.asarray((np.array(self.a) * np.exp(-np.array(self.b) * squared)).sum(axis=-1) + self.c)


@dataclass(frozen=True, slots=True)
class Occupant:
    """What takes one kind of place: one ion, or two that share it at random.

    Attributes
    ----------
    ions
        Elements and their shares; the shares add up to 1.
    """

    role: Role
    ions: tuple[tuple[str, float], ...]

    @property
    def mass(self) -> float:
        """Mean mass in atomic mass units (the virtual-crystal approximation)."""
        return sum(share * element(symbol).mass for symbol, share in self.ions)

    @property
    def disorder(self) -> float:
        """0 for one ion, 1 for two in equal shares."""
        return 4.0 * self.ions[0][1] * (1.0 - self.ions[0][1])

    def scattering(self, s: Array) -> Array:
        """Return the mean scattering factor in electrons at ``s`` (1/angstrom)."""
        return np.asarray(sum(share * element(symbol).scattering(s) for symbol, share in self.ions))

    def bond_valence_r0(self, anion: str) -> float:
        """Return the mean bond-valence parameter r0 in angstrom to ``anion``."""
        return sum(share * bond_valence_r0(symbol, self.role.valence, anion) for symbol, share in self.ions)

    def text(self, subscript: str = "{}") -> str:
        """Return the element, or both with their shares in brackets."""
        if len(self.ions) == 1:
            return self.ions[0][0]
        return "(" + "".join(symbol + subscript.format(f"{share:.2f}") for symbol, share in self.ions) + ")"


@cache
def element(symbol: str) -> Element:
    """Return an element of ``data/elements.csv``; raise ``KeyError`` for one that is not there."""
    row = _elements()[symbol]
    a, b = ([float(row[f"{letter}{n}"]) for n in range(1, 5)] for letter in "ab")
    return Element(symbol, float(row["mass"]), tuple(a), tuple(b), float(row["c"]))


@cache
def bond_valence_r0(cation: str, valence: int, anion: str) -> float:
    """Return r0 in angstrom of ``s = exp((r0 - r) / 0.37)`` (Brown and Altermatt, Acta Cryst. B41, 1985, 244)."""
    return _bond_valences()[cation, valence, anion]


def formula(prototype: Prototype, occupants: Mapping[str, Occupant], *, rruff: bool = False) -> str:
    """Return the chemical formula, plain (``Mg2SiO4``) or in RRUFF's notation (``Mg_2_SiO_4_``)."""
    text = prototype.formula
    if rruff:
        text = re.sub(r"(?<=[A-Z}a-z)])(\d+)", r"_\1_", text)
    return text.format(**{name: occupant.text("_{}_" if rruff else "{}") for name, occupant in occupants.items()})


def draw_occupants(prototype: Prototype, rng: np.random.Generator) -> dict[str, Occupant]:
    """Choose what takes each place: the pure ion half the time, else two ions in hundredths."""
    result = {}
    for name, role in prototype.roles.items():
        symbols = list(role.ions)
        if name in ANIONS or len(symbols) == 1 or rng.random() < 0.5:
            result[name] = Occupant(role, ((symbols[int(rng.integers(len(symbols)))], 1.0),))
            continue
        one, two = rng.choice(len(symbols), size=2, replace=False)
        share = int(rng.integers(50, 96)) / 100
        result[name] = Occupant(role, ((symbols[one], share), (symbols[two], round(1 - share, 2))))
    return result


@cache
def _elements() -> dict[str, dict[str, str]]:
    return {row["symbol"]: row for row in _rows("elements.csv")}


@cache
def _bond_valences() -> dict[tuple[str, int, str], float]:
    return {(row["cation"], int(row["valence"]), row["anion"]): float(row["r0"]) for row in _rows("bond_valence.csv")}


def _rows(name: str) -> list[dict[str, str]]:
    text = files("spectroflow.simulate").joinpath("data", name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
