"""Fixtures of the tests that need a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ray_head import Head, ray_head


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A Ray head with token authentication, for all tests of this folder."""
    with ray_head(tmp_path_factory.mktemp("cluster")) as started:
        yield started
