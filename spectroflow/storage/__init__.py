"""Paths and URLs: one way to read, write and list them, wherever they are.

- :class:`Location` is a path or URL; it reads, writes, creates exclusively and lists, never cached.
- :class:`CheckedWriter` is how a unit writes: only its own keys, hashed, and only while it is not done.
- :class:`LocationStore` lets zarr read and write below a location.
"""

from spectroflow.storage.checked import CheckedWriter, UnitAlreadyDone, Written, digest_bytes
from spectroflow.storage.location import AlreadyExists, Location, ObjectInfo
from spectroflow.storage.refusal import is_storage_refusal, storage_refusal
from spectroflow.storage.zarr_store import LocationStore, whole_shards

__all__ = [
    "AlreadyExists",
    "CheckedWriter",
    "Location",
    "LocationStore",
    "ObjectInfo",
    "UnitAlreadyDone",
    "Written",
    "digest_bytes",
    "is_storage_refusal",
    "storage_refusal",
    "whole_shards",
]
