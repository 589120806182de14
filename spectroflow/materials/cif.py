"""Crystal structures from Crystallographic Information Files (CIF), read with gemmi.

Partial occupancies are kept, and so are all alternatives of a disordered site: the structure factors
then are those of the average structure, which is what Bragg reflections see. The structure is flagged.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from spectroflow.errors import InvalidInput, RecordError
from spectroflow.materials.composition import ELEMENTS, parse_formula
from spectroflow.materials.crystal import DEFAULT_B, Array, Crystal, lattice_vectors, orbit

_ATOMS = re.compile(rb"^\s*_atom_site[_.](?:fract_x|cartn_x)\b", re.IGNORECASE | re.MULTILINE)
_BLOCK = re.compile(rb"^\s*data_", re.IGNORECASE | re.MULTILINE)
_NAMES = ("_chemical_name_mineral", "_chemical_name_common", "_chemical_name_systematic", "_amcsd_formula_title")
_WATER = ("Wat", "OW", "OH", "Ow", "Oh")  # names of an oxygen whose hydrogens were not located
_LONGEST = 500.0  # angstrom; no crystal of small molecules has a longer cell edge


def count_structures(data: bytes) -> int:
    """Return how many data blocks hold atoms, without parsing; at least 1, so that every file is a record."""
    starts = [match.start() for match in _BLOCK.finditer(data)]
    blocks = [data[a:b] for a, b in pairwise([*starts, len(data)])]
    return max(1, sum(bool(_ATOMS.search(block)) for block in blocks))


def read_cif(data: bytes, *, where: str = "") -> list[Crystal]:
    """Read all structures of a CIF.

    Parameters
    ----------
    data
        The file.
    where
        Its name, for errors.

    Returns
    -------
    list of Crystal
        One for each data block with atoms, in the order of the file.

    Raises
    ------
    RecordError
        ``READER_FAILED`` where it is no CIF, ``NO_DATA`` where it holds no structure (no atoms, no
        coordinates, no cell), ``BAD_NUMBER`` where the cell or an element cannot be.
    InvalidInput
        gemmi is not installed.
    """
    gemmi = import_gemmi()
    try:
        document = gemmi.cif.read_string(data)
    except (ValueError, RuntimeError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(
            "READER_FAILED", f"this is no CIF ({reason})", where=where, remedy="Download or export the file again."
        ) from None
    found = [block for block in document if _has_atoms(block)]
    if not found:
        raise RecordError(
            "NO_DATA",
            "the CIF holds no structure: there are no atoms with coordinates",
            where=where,
            remedy="Use a file with _atom_site_fract_x, _y and _z, and a cell.",
        )
    return [_crystal(block, gemmi, where) for block in found]


def import_gemmi() -> Any:
    """Return the module gemmi.

    Raises
    ------
    InvalidInput
        It is not installed.
    """
    try:
        import gemmi
    except ImportError:
        raise InvalidInput(
            "crystal structures are read with gemmi, which is not installed", remedy="Run pip install gemmi."
        ) from None
    return gemmi


def _has_atoms(block: Any) -> bool:
    return bool(len(block.find_values("_atom_site_fract_x")) or len(block.find_values("_atom_site_Cartn_x")))


def _crystal(block: Any, gemmi: Any, where: str) -> Crystal:
    place = f"{where}, data_{block.name}" if where else f"data_{block.name}"
    structure = gemmi.make_small_structure_from_block(block)
    cell = tuple(float(value) for value in structure.cell.parameters)
    _check_cell(block, cell, place)
    vectors = lattice_vectors(*cell)
    operations, flags = _operations(structure, gemmi)
    symbols: list[str] = []
    positions: list[Array] = []
    occupancy: list[float] = []
    displacement: list[float] = []
    for site in structure.sites:
        point = np.array(site.fract.tolist())
        if not np.isfinite(point).all():
            continue
        share = float(site.occ)
        flags |= {"PARTIAL_OCCUPANCY"} if share < 0.999 else set()
        flags |= {"OCCUPANCY_ABOVE_ONE"} if share > 1.001 else set()
        flags |= {"DISORDER"} if site.disorder_group else set()
        if share <= 0:
            continue
        images = orbit(point, operations, vectors)
        symbols += [_element(site, place)] * len(images)
        positions += list(images)
        occupancy += [min(share, 1.0)] * len(images)
        displacement += [_displacement(site)] * len(images)
    if not symbols:
        raise RecordError(
            "NO_DATA",
            "no atom of the structure has coordinates and an occupancy",
            where=place,
            remedy="Use a file in which the structure was solved.",
        )
    unknown = [not value > 0 for value in displacement]
    flags |= {"DEFAULT_DISPLACEMENT"} if any(unknown) else set()
    group = structure.spacegroup
    crystal = Crystal(
        name="",
        formula="",
        space_group=group.xhm() if group else "",
        number=group.number if group else 0,
        cell=cell,  # type: ignore[arg-type]
        symbols=tuple(symbols),
        fractional=np.asarray(positions, np.float64),
        occupancy=np.asarray(occupancy, np.float64),
        displacement=np.where(unknown, DEFAULT_B, displacement),
        flags=tuple(sorted(flags)),
    )
    formula = _formula(block, crystal)
    return replace(crystal, name=_name(block) or formula, formula=formula)


def _check_cell(block: Any, cell: tuple[float, ...], place: str) -> None:
    if not block.find_value("_cell_length_a"):
        raise RecordError("NO_DATA", "the structure has no cell", where=place, remedy="Use a file with _cell_length_a.")
    if not all(np.isfinite(cell)) or not all(0.5 < edge < _LONGEST for edge in cell[:3]):
        raise RecordError("BAD_NUMBER", f"this cell cannot be: {cell}", where=place, remedy="Correct _cell_length.")
    volume = np.linalg.det(lattice_vectors(*cell))
    if not all(5.0 < angle < 175.0 for angle in cell[3:]) or not volume > 0.05 * np.prod(cell[:3]):
        raise RecordError("BAD_NUMBER", f"this cell cannot be: {cell}", where=place, remedy="Correct _cell_angle.")


def _operations(structure: Any, gemmi: Any) -> tuple[list[tuple[Array, Array]], set[str]]:
    """Return the symmetry operations as the file lists them, else those of the space group that it names."""
    listed = [gemmi.Op(text) for text in structure.symops]
    if not listed and structure.spacegroup:
        listed = list(structure.spacegroup.operations())
    flags = set() if listed else {"NO_SYMMETRY"}
    listed = listed or [gemmi.Op("x,y,z")]
    scale = float(gemmi.Op.DEN)
    return [(np.array(op.rot) / scale, np.array(op.tran) / scale) for op in listed], flags


def _element(site: Any, place: str) -> str:
    symbol = str(site.element.name)
    if symbol == "D":
        return "H"
    if symbol in ELEMENTS:
        return symbol
    if str(site.type_symbol or site.label).startswith(_WATER):
        return "O"
    raise RecordError(
        "BAD_NUMBER",
        f"{site.type_symbol or site.label!r} is no element",
        where=place,
        remedy="Correct _atom_site_type_symbol.",
    )


def _displacement(site: Any) -> float:
    """Return B = 8 pi^2 U in angstrom^2 of a site; 0 where the file gives none, or none that can be."""
    mean_square = float(site.u_iso)
    if not mean_square > 0 and site.aniso.nonzero():
        mean_square = float(site.aniso.trace()) / 3
    return 8 * np.pi**2 * mean_square if np.isfinite(mean_square) and 0 < mean_square < 0.5 else 0.0


def _formula(block: Any, crystal: Crystal) -> str:
    """Return the formula that the file gives, if it can be read, else that of its atoms."""
    for key in ("_chemical_formula_sum", "_chemical_formula_structural"):
        text = _text(block, key)
        try:
            if text and parse_formula(text):
                return text
        except InvalidInput:
            continue
    return formula_of(crystal.amounts)


def formula_of(amounts: dict[str, float]) -> str:
    """Return amounts as a formula: ``Ca4 C4 O12``."""
    return " ".join(f"{symbol}{amount:g}" for symbol, amount in amounts.items())


def _name(block: Any) -> str:
    return next((text for key in _NAMES if (text := _text(block, key))), "")


def _text(block: Any, key: str) -> str:
    value = block.find_value(key)
    text = import_gemmi().cif.as_string(value).strip() if value else ""
    return " ".join(text.split()) if text not in ("?", ".") else ""
