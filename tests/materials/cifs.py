"""Structures with known answers, as files."""

from __future__ import annotations

from collections.abc import Sequence

Site = tuple[str, float, float, float]


def cif(
    name: str,
    cell: Sequence[float],
    group: str,
    sites: Sequence[Site],
    *,
    occupancy: Sequence[object] | None = None,
    extra: str = "",
    block: str = "x",
) -> bytes:
    keys = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{block}", f"_chemical_name_mineral '{name}'", f"_symmetry_space_group_name_H-M '{group}'"]
    lines += [f"_cell_{key} {value}" for key, value in zip(keys, cell, strict=True)]
    lines += [extra, "loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"] + ["_atom_site_occupancy"]
    for i, (symbol, x, y, z) in enumerate(sites):
        share = "1" if occupancy is None else str(occupancy[i])
        lines.append(f"{symbol}{i} {symbol} {x} {y} {z} {share}")
    return "\n".join([*lines, ""]).encode()


def cubic(a: float) -> tuple[float, ...]:
    return (a, a, a, 90.0, 90.0, 90.0)


HALITE = cif("Halite", cubic(5.6402), "F m -3 m", [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)])
SILICON = cif("Silicon", cubic(5.4309), "F d -3 m :1", [("Si", 0, 0, 0)])
SYLVITE = cif("Sylvite", cubic(6.2931), "F m -3 m", [("K", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)])
CORUNDUM = cif(
    "Corundum", (4.7589, 4.7589, 12.991, 90, 90, 120), "R -3 c", [("Al", 0, 0, 0.35219), ("O", 0.30633, 0, 0.25)]
)
