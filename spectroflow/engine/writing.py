"""Writing below a run's folder while another driver of the same run may be sweeping it."""

from __future__ import annotations

from spectroflow.storage import Location

_TRIES = 3


def write_in_run(place: Location, data: bytes, *, durable: bool = False) -> None:
    """Write an object, again if a driver that just ended the same run swept the half-written file away."""
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            place.write_bytes(data, durable=durable)
            return
        except FileNotFoundError:
            if last:
                raise
