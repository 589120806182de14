from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import InvalidInput
from spectroflow.materials.composition import ELEMENTS, fractions, parse_all, parse_formula


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("CaCO3", {"C": 1, "O": 3, "Ca": 1}),
        ("Ca C O<sub>3</sub>", {"C": 1, "O": 3, "Ca": 1}),
        ("CO2", {"C": 1, "O": 2}),
        ("Co2", {"Co": 2}),
        ("Ag8 S4", {"S": 4, "Ag": 8}),
        ("CaSO_4_·2H_2_O", {"H": 4, "O": 6, "S": 1, "Ca": 1}),
        ("CaCu_4_(SO_4_)_2_(OH)_6_·3H_2_O", {"H": 12, "O": 17, "S": 2, "Ca": 1, "Cu": 4}),
        ("As^3+^_2_O_3_", {"O": 3, "As": 2}),
        ("CoAs_3-x_", {"Co": 1, "As": 3}),
        ("(Zn,Fe)S", {"S": 1, "Fe": 0.5, "Zn": 0.5}),
        ("[box]Na_2_(Mg_3_Al_2_)Si_8_O_22_(OH)_2_", {"H": 2, "O": 24, "Na": 2, "Mg": 3, "Al": 2, "Si": 8}),
        (
            "Ca_2_(Mg_4.5-2.5_Fe^2+^_0.5-2.5_)_&#931;=5_Si_8_O_22_(OH)_2_",
            {"H": 2, "O": 24, "Mg": 3.5, "Si": 8, "Ca": 2, "Fe": 1.5},
        ),
        ("(N^3-^H_4_)MgPO_4_·6H_2_O", {"H": 16, "N": 1, "O": 10, "Mg": 1, "P": 1}),
    ],
)
def test_amounts(text: str, amounts: dict[str, float]) -> None:
    assert parse_formula(text) == pytest.approx(amounts)


@given(st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 99), min_size=1, max_size=6), st.integers(2, 9))
def test_what_is_written_is_read_in_both_notations(amounts: dict[str, int], factor: int) -> None:
    plain = "".join(f"{symbol}{amount}" for symbol, amount in amounts.items())
    marked = "".join(f"{symbol}_{amount}_" for symbol, amount in amounts.items())
    assert parse_formula(plain) == parse_formula(marked) == pytest.approx(amounts)
    expected = {symbol: amount * factor for symbol, amount in amounts.items()}
    assert parse_formula(f"({marked})_{factor}_") == parse_formula(f"({plain}){factor}") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "  ", "Ca(OH", "CaOH)", "Ca?O", "REE", "_2_", "(OH]"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_formula(text)
    assert parse_all([text, "NaCl"]) == [None, {"Na": 1.0, "Cl": 1.0}]


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert all(amount > 0 for amount in parse_formula(text).values())


def test_fractions_sum_to_one_and_are_nan_where_unknown() -> None:
    table = fractions(parse_all(["NaCl", "", "SiO2"]))
    np.testing.assert_allclose(table[[0, 2]].sum(axis=1), 1)
    assert np.isnan(table[1]).all()
    assert table[2, ELEMENTS.index("O")] == pytest.approx(2 / 3)


@pytest.mark.real
def test_nearly_every_real_formula_parses(real_data: Path) -> None:
    folder = real_data / "rruff"
    with (folder / "manifest.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["modality"] != "xrd"]
    formulas = set()
    for path in paths:
        with (folder / path).open(encoding="utf-8", errors="replace") as file:
            head = [next(file, "") for _ in range(12)]
        formulas |= {line.partition("=")[2].strip() for line in head if line.startswith("##IDEAL CHEMISTRY=")}
    formulas.discard("")
    failed = [text for text, amounts in zip(formulas, parse_all(list(formulas)), strict=True) if amounts is None]
    assert len(formulas) > 400
    assert len(failed) <= 0.01 * len(formulas), failed
