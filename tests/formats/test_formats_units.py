"""Conversions are physics, and what is missing is an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants

from spectroflow.errors import RecordError
from spectroflow.formats import RawRecord, to_record
from spectroflow.formats.quality import names_of
from spectroflow.formats.units import Optics, axis_unit, convert_axis, convert_intensity, intensity_unit
from spectroflow.modality import builtin


def convert(values, unit, target="cm-1", shift=False, **optics):
    return convert_axis(np.asarray(values, float), unit, target, shift=shift, optics=Optics(**optics), where="x")


def test_photon_units_agree_with_codata():
    hc_ev_nm = constants.h * constants.c / constants.e * 1e9
    assert convert([500.0], "nm")[0] == pytest.approx(20000.0, rel=1e-15)
    assert convert([2.0], "eV", "nm")[0] == pytest.approx(hc_ev_nm / 2, rel=1e-12)
    assert convert([1.0], "THz")[0] == pytest.approx(1e12 / constants.c / 100, rel=1e-12)
    assert convert([10.0], "um")[0] == pytest.approx(1000.0, rel=1e-15)


@given(st.floats(200, 20000), st.sampled_from(["nm", "um", "angstrom", "eV", "THz", "GHz", "meV"]))
def test_there_and_back(value, unit):
    assert convert(convert([value], "cm-1", unit), unit)[0] == pytest.approx(value, rel=1e-13)


def test_raman_shift_needs_the_laser():
    assert convert([532.0, 562.0], "nm", shift=True, laser=532.0) == pytest.approx([0, 1e7 / 532 - 1e7 / 562])
    with pytest.raises(RecordError, match="laser") as caught:
        convert([562.0], "nm", shift=True)
    assert caught.value.code == "AMBIGUOUS_UNIT"


def test_diffraction_axes_need_the_wavelength():
    # Quartz 101, d = 3.3434 angstrom, lies at 26.64 degrees for copper K-alpha-1.
    assert convert([3.3434], "d", "deg", wavelength=1.54056)[0] == pytest.approx(26.64, abs=0.005)
    assert convert([2 * np.pi / 3.3434], "q", "deg", wavelength=1.54056)[0] == pytest.approx(26.64, abs=0.005)
    with pytest.raises(RecordError) as caught:
        convert([3.3434], "d", "deg")
    assert caught.value.code == "AMBIGUOUS_UNIT"


@pytest.mark.parametrize(("unit", "target"), [("deg", "cm-1"), ("s", "cm-1"), ("nm", "deg"), ("ppm", "nm")])
def test_what_cannot_be_converted(unit, target):
    with pytest.raises(RecordError) as caught:
        convert([1.0], unit, target)
    assert caught.value.code == "UNKNOWN_UNIT"


def test_transmittance_becomes_absorbance():
    values, flags = convert_intensity(np.array([1.0, 0.1, 0.0, -0.1]), "transmittance", "absorbance", where="x")
    assert values[:2] == pytest.approx([0.0, 1.0])
    assert np.isnan(values[2:]).all()
    assert flags == ()
    values, flags = convert_intensity(np.array([100.0, 10.0]), "%transmittance", "absorbance", where="x")
    assert values == pytest.approx([0.0, 1.0])


def test_percent_that_calls_itself_transmittance():
    values, flags = convert_intensity(np.array([90.0, 95.0, 10.0]), "transmittance", "absorbance", where="x")
    assert flags == ("PERCENT_ASSUMED",)
    assert values[2] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1/CM", "cm-1"), ("Wavenumber (cm-1)", "cm-1"), ("NANOMETERS", "nm"), ("2-Theta", "deg"), ("°2Th", "deg"),
     ("Raman shift / cm-1", "cm-1"), ("MICROMETERS", "um"), ("d (Å)", "d"), ("Energy [eV]", "eV"), ("bananas", None),
     ("", None)],
)  # fmt: skip
def test_axis_spellings(text, unit):
    assert axis_unit(text) == unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [("ABSORBANCE", "absorbance"), ("% Transmittance", "%transmittance"), ("TRANSMITTANCE", "transmittance"),
     ("Counts", "counts"), ("Arbitrary Units", "counts"), ("Intensity (a.u.)", "counts"), ("cps", "counts/s"),
     (None, None)],
)  # fmt: skip
def test_intensity_spellings(text, unit):
    assert intensity_unit(text) == unit


def test_a_record_says_what_it_was():
    axis = np.linspace(540, 570, 50)
    raw = RawRecord(axis, np.ones(50) + axis, axis_unit="nm", intensity_unit="counts", metadata={"laser": 532.0})
    record = to_record(raw, builtin()["raman"])
    assert record.metadata["axis_unit_original"] == "nm"
    assert "AXIS_CONVERTED" in names_of(record.flags)
    assert record.axis[0] == pytest.approx(1e7 / 532 - 1e7 / 540)


def test_infrared_in_a_unit_that_is_no_ratio_is_refused():
    raw = RawRecord(np.linspace(400, 4000, 50), np.ones(50), axis_unit="cm-1", intensity_unit="volts")
    with pytest.raises(RecordError) as caught:
        to_record(raw, builtin()["ir"])
    assert caught.value.code == "UNKNOWN_UNIT"
