"""JSON that tells when it was altered: one form of the bytes, and a digest inside it.

Versions and zarr metadata are written in one form only, so that parsing and writing again gives the
same bytes, and hold a digest of their content. No marker knows these objects; they vouch for themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spectroflow.storage import digest_bytes


def encode(tree: Mapping[str, Any]) -> bytes:
    """Return the bytes of a JSON object, in the form that files have."""
    return json.dumps(tree, indent=1, allow_nan=False).encode()


def digest_of(tree: Mapping[str, Any]) -> str:
    """Return the digest of a JSON object: BLAKE2b-128 of it with sorted keys, without spaces, in ASCII."""
    return digest_bytes(json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object that bytes hold; raise ``ValueError`` where they are not in the one form."""
    tree = json.loads(data)
    if not isinstance(tree, dict):
        raise ValueError("it holds no object")
    if encode(tree) != data:
        raise ValueError("it was rewritten or altered")
    return tree
