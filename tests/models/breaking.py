"""A training that ends in the middle, as if its process had died."""

from __future__ import annotations

from spectroflow.models.training import InlineHooks


class Broken(Exception):
    pass


class BreaksOff(InlineHooks):
    """Ends the process, as it were, after the first look."""

    def save(self, network: str, state: bytes) -> None:
        super().save(network, state)
        raise Broken
