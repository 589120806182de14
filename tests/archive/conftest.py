"""One S3 server for all tests of the archive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3 import s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of a bucket."""
    with s3_server("archives") as url:
        yield url
