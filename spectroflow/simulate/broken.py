"""Files that look like spectra and cannot be read, for archives that show what happens then."""

from __future__ import annotations

from collections.abc import Iterator

from spectroflow.simulate.material import rng_for

_HEADER = "##NAMES=Broken\n##RRUFFID={identifier}\n##IDEAL CHEMISTRY=SiO_2_\n"


def broken_files(seed: int, count: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield path, what is wrong, and bytes of ``count`` unreadable files, each kind in turn."""
    for index in range(count):
        reason = _KINDS[index % len(_KINDS)]
        identifier = f"B{index:05d}"
        yield (
            f"raman/Broken__{identifier}__Raman__532__0__unoriented__Raman_Data_RAW.txt",
            reason,
            _content(reason, identifier, seed, index),
        )


_KINDS = ("empty", "text among the numbers", "cut off after the header", "no number is finite", "axis stands still")


def _content(reason: str, identifier: str, seed: int, index: int) -> bytes:
    if reason == "empty":
        return b""
    rng = rng_for(seed, "broken", index)
    shift = [100.0 + step for step in range(400)]
    counts = rng.poisson(200.0, len(shift)).astype(str).tolist()
    if reason == "text among the numbers":
        counts[int(rng.integers(50, 350))] = "detector saturated"
    elif reason == "cut off after the header":
        shift = shift[:3]
    elif reason == "no number is finite":
        counts = ["nan"] * len(shift)
    elif reason == "axis stands still":
        shift = [500.0] * len(shift)
    body = "".join(f"{x:.3f}, {y}\n" for x, y in zip(shift, counts, strict=False))
    return (_HEADER.format(identifier=identifier) + body + "##END=\n").encode()
