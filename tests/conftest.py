"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("spectroflow", deadline=None)  # a busy machine breaks no promise
settings.load_profile("spectroflow")


def pytest_configure() -> None:
    """Take Ctrl-C, which a shell lets what it starts in the background ignore: tests interrupt what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real spectra, or a skip that says how to get them."""
    folder = os.environ.get("SPECTROFLOW_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPECTROFLOW_TEST_DATA does not name a folder of real spectra")
    return Path(folder)
