"""Small archives for the tests of jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spectroflow.config import Config, load
from spectroflow.jobs import JobOptions
from spectroflow.storage import digest_bytes

SMALL = ("archive.shard_rows=8", "archive.chunk_rows=4", "simulate.materials=8", "simulate.samples=2")


@pytest.fixture(scope="session")
def small_config() -> Config:
    """Few materials in shards of eight rows, so that there are several units."""
    return load(None, SMALL)


@pytest.fixture(scope="session")
def inline(small_config: Config) -> JobOptions:
    """Run in this process."""
    return JobOptions(config=small_config, workers=0)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory, inline: JobOptions) -> Path:
    """A simulated archive with lines; tests must not write to it."""
    from spectroflow.jobs.fit import fit
    from spectroflow.jobs.simulate import simulate

    folder = tmp_path_factory.mktemp("simulated") / "archive"
    simulate(str(folder), form="archive", options=inline)
    fit(str(folder), options=inline)
    return folder


@pytest.fixture
def files(tmp_path: Path, inline: JobOptions) -> Path:
    """Simulated files of several modalities with a manifest, 24 that can be read and 5 that cannot."""
    from spectroflow.jobs.simulate import simulate

    folder = tmp_path / "files"
    broken = load(
        None,
        [
            "archive.shard_rows=8",
            "archive.chunk_rows=4",
            "simulate.materials=4",
            "simulate.samples=2",
            "simulate.broken=5",
        ],
    )
    simulate(str(folder), form="files", options=replace(inline, config=broken))
    return folder


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Return a function that digests every array, record table and result below an archive."""

    def of(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): digest_bytes(path.read_bytes())
            for part in ("segments", "layers")
            for path in sorted((folder / part).rglob("*"))
            if path.is_file()
        }

    return of
