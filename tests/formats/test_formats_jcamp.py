"""JCAMP-DX: every form of number that the standard has says the same, in one block, in several, in pages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import RecordError
from spectroflow.formats import get

HEAD = "##TITLE={}\n##JCAMP-DX=4.24\n##DATA TYPE=INFRARED SPECTRUM\n##XUNITS=1/CM\n##YUNITS=ABSORBANCE\n"
SQZ = "@ABCDEFGHI", "@abcdefghi"
DIF = "%JKLMNOPQR", "%jklmnopqr"
DUP = " STUVWXYZs"


def letters(value, table):
    digits = str(abs(value))
    return table[value < 0][int(digits[0])] + digits[1:]


def repeated(tokens):
    """Replace runs of equal tokens by one and how often it stands."""
    out, i = [], 0
    while i < len(tokens):
        run = 1
        while i + run < len(tokens) and tokens[i + run] == tokens[i]:
            run += 1
        out.append(tokens[i] + (DUP[int(str(run)[0])] + str(run)[1:] if run > 1 else ""))
        i += run
    return out


def ordinates(form, values, per_line=7):
    """Return the lines of a table, written from the standard and from nothing of the reader."""
    lines = []
    for start in range(0, len(values), per_line):
        chunk = values[start : start + per_line]
        if form == "AFFN":
            body = " " + " ".join(map(str, chunk))
        elif form == "PAC":
            body = "".join(f"{value:+d}" for value in chunk)
        elif form in {"SQZ", "SQZDUP"}:
            tokens = [letters(value, SQZ) for value in chunk]
            body = "".join(repeated(tokens) if form == "SQZDUP" else tokens)
        else:
            first = letters(chunk[0], SQZ)
            steps = [letters(b - a, DIF) for a, b in itertools.pairwise(chunk)]
            body = first + "".join(repeated(steps) if form == "DIFDUP" else steps)
            if start + per_line < len(values):
                # The next line begins with the value that this one ends with, as a check.
                body += letters(values[start + per_line] - chunk[-1], DIF)
        lines.append(f"{400 + start}{body}")
    if form in {"DIF", "DIFDUP"} and len(values) % per_line != 1:
        last = values[-1]
        lines.append(f"{400 + len(values) - 1}{letters(last, SQZ)}")
    return "\n".join(lines)


def file(form, values, title="x"):
    last = 400 + len(values) - 1
    head = HEAD.format(title) + f"##FIRSTX=400\n##LASTX={last}\n##NPOINTS={len(values)}\n##XFACTOR=1\n##YFACTOR=0.25\n"
    return f"{head}##XYDATA=(X++(Y..Y))\n{ordinates(form, values)}\n##END=\n"


@given(st.lists(st.integers(-99_999, 99_999), min_size=2, max_size=60), st.integers(1, 9))
def test_all_encodings_of_one_spectrum_agree(values, repeats):
    values = [value for value in values for _ in range(repeats)]
    for form in ("AFFN", "PAC", "SQZ", "SQZDUP", "DIF", "DIFDUP"):
        text = file(form, values)
        (raw,) = get("jcamp").read(text.encode(), "a.jdx")
        assert raw.intensity.tolist() == [0.25 * value for value in values], form
        np.testing.assert_allclose(raw.axis, 400.0 + np.arange(len(values)), rtol=1e-15)


def test_xypoints_with_any_separators():
    body = "##XYPOINTS=(XY..XY)\n400.5, 1.25; 401.75, -2e-3\n405 7\n##END=\n"
    (raw,) = get("jcamp").read((HEAD.format("x") + "##NPOINTS=3\n" + body).encode(), "a.jdx")
    assert (raw.axis.tolist(), raw.intensity.tolist()) == ([400.5, 401.75, 405], [1.25, -0.002, 7])


def test_blocks_of_a_linked_file_are_records_with_what_is_their_own():
    values = {"AFFN": [1, 2, 3], "DIFDUP": [4, 4, 4, 9], "PAC": [-5, 6]}
    blocks = "".join(file(form, numbers, form) for form, numbers in values.items())
    linked = f"##TITLE=the whole\n##JCAMP-DX=4.24\n##DATA TYPE=LINK\n##BLOCKS=3\n$$ a remark\n{blocks}##END=\n"
    records = get("jcamp").read(linked.encode(), "a.jdx")
    assert get("jcamp").probe(linked.encode(), "a.jdx").modalities == ("ir",) * 3
    for index, (record, (form, numbers)) in enumerate(zip(records, values.items(), strict=True)):
        assert (record.label, record.metadata["spectrum"]) == (form, index)
        assert record.intensity.tolist() == [0.25 * number for number in numbers]


def test_pages_of_ntuples():
    text = (
        "##TITLE=x\n##JCAMP-DX=5.00\n##DATA TYPE=RAMAN SPECTRUM\n##NTUPLES=MAP\n##VAR_NAME=SHIFT, INTENSITY, PLACE\n"
        "##SYMBOL=X, Y, N\n##VAR_DIM=3, 3, 2\n##UNITS=1/CM, COUNTS, \n##FIRST=100, , 1\n##LAST=102, , 2\n"
        "##FACTOR=1, 0.5, 1\n"
        "##PAGE=N=1\n##DATA TABLE=(X++(Y..Y)), XYDATA\n100 2 4 6\n##PAGE=N=2\n##DATA TABLE=(X++(Y..Y)), XYDATA\n"
        "100 8 10 12\n##END NTUPLES=MAP\n##END=\n"
    )
    first, second = get("jcamp").read(text.encode(), "a.jdx")
    assert (first.intensity.tolist(), second.intensity.tolist()) == ([1, 2, 3], [4, 5, 6])
    assert (first.metadata["page"], second.metadata["page"]) == ("N=1", "N=2")
    assert first.axis.tolist() == [100, 101, 102]


@pytest.mark.parametrize("form", ["AFFN", "PAC", "SQZ", "SQZDUP", "DIF", "DIFDUP"])
def test_a_lost_line_is_never_read_as_a_whole_spectrum(form):
    lines = file(form, [3 * (i % 11) for i in range(40)]).splitlines()
    table = next(i for i, line in enumerate(lines) if line.startswith("##XYDATA")) + 1
    for lost in range(table, table + 5):
        text = "\n".join(lines[:lost] + lines[lost + 1 :])
        with pytest.raises(RecordError) as caught:
            get("jcamp").read(text.encode(), "a.jdx")
        assert caught.value.code in {"TRUNCATED", "BAD_NUMBER", "BAD_AXIS"}
