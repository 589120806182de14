"""Damaging files on purpose: the same seed damages the same file in the same way."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NUMBERS = (b"0", b"-1", b"999999999999", b"1e308", b"-1e-400", b"nan", b"inf", b"0x7f", b"4294967295", b"1,5", b"")
_WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MARKS = (b"\n", b"\r\n", b"\0", b"##", b"=", b",", b";", b"\t", b"<", b"&", b"\xff", b"$$", b"Z999999", b"s99999")


@dataclass(frozen=True, slots=True)
class Seed:
    """A whole file that mutations start from."""

    name: str
    format: str
    data: bytes


def mutate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return a file with one to six injuries."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        _injure(out, rng, others)
    return bytes(out)


def _injure(out: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    size = len(out)
    # Headers decide more than the numbers after them, so half of the injuries are there.
    at = rng.randrange(min(size, 600)) if size and rng.random() < 0.5 else rng.randrange(size + 1)
    kind = rng.randrange(11)
    if kind == 0 and size:
        out[at % size] ^= 1 << rng.randrange(8)
    elif kind == 1 and size:
        out[at % size] = rng.randrange(256)
    elif kind == 2:
        del out[at:]
    elif kind == 3:
        del out[at : at + rng.randrange(1, 200)]
    elif kind == 4:
        out[at:at] = out[at : at + rng.randrange(1, 400)]
    elif kind == 5:
        out[at : at + 4] = rng.choice(_WORDS).to_bytes(4, rng.choice(("little", "big")))
    elif kind == 6:
        out[at:at] = rng.choice(_NUMBERS)
    elif kind == 7:
        out[at:at] = rng.choice(_MARKS)
    elif kind == 8:
        out[at:at] = rng.randbytes(rng.randrange(1, 64))
    elif kind == 9 and others:
        other = rng.choice(others)
        start = rng.randrange(len(other) + 1)
        out[at : at + 200] = other[start : start + 200]
    else:
        _swap_digits(out, at, rng)


def _swap_digits(out: bytearray, at: int, rng: random.Random) -> None:
    """Replace the first run of digits after a place by another number."""
    begin = next((i for i in range(at, min(len(out), at + 400)) if 48 <= out[i] <= 57), None)
    if begin is None:
        return
    end = begin
    while end < len(out) and 48 <= out[end] <= 57:
        end += 1
    out[begin:end] = rng.choice(_NUMBERS)


def mutations(seeds: Sequence[Seed], count: int, seed: int) -> Iterator[tuple[Seed, int, bytes]]:
    """Yield ``count`` damaged files, the seeds in turn; the number tells which injuries."""
    pool = [each.data for each in seeds if len(each.data) < 1 << 20]
    for number in range(count):
        origin = seeds[number % len(seeds)]
        yield origin, number, mutate(origin.data, random.Random(f"{seed}:{number}"), pool)
