"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real spectra, or a skip that says how to get them."""
    folder = os.environ.get("SPECTROFLOW_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPECTROFLOW_TEST_DATA does not name a folder of real spectra")
    return Path(folder)
