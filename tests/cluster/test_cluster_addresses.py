"""Clusters by name."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from spectroflow.cluster import resolve
from spectroflow.cluster.addresses import Cluster, clusters_file, named_clusters
from spectroflow.cluster.client import connect
from spectroflow.errors import ConfigError, Unreachable, UsageError


@pytest.fixture
def clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "clusters.toml"
    monkeypatch.setenv("SPECTROFLOW_CLUSTERS", str(path))
    monkeypatch.delenv("SPECTROFLOW_CLUSTER_PYTHON", raising=False)
    return path


def test_addresses_need_no_file(clusters: Path) -> None:
    assert not clusters.exists()
    assert resolve("https://head:8265/").address == "https://head:8265"
    assert resolve("head:8265").address == "http://head:8265"
    assert resolve("head:8265").python == sys.executable


def test_a_name_brings_everything_that_is_written_under_it(clusters: Path) -> None:
    clusters.write_text(
        "[clusters.lab]\naddress = 'https://ray:8265'\npython = '/opt/bin/python'\nenvironment = ['AWS_PROFILE']\n"
    )
    lab = resolve("lab")
    assert (lab.address, lab.python, lab.environment) == ("https://ray:8265", "/opt/bin/python", ("AWS_PROFILE",))


def test_an_unknown_name_hints_at_the_nearest(clusters: Path) -> None:
    clusters.write_text("[clusters.institute]\naddress = 'http://ray:8265'\n")
    with pytest.raises(UsageError, match="Did you mean 'institute'"):
        resolve("institut")
    with pytest.raises(UsageError, match="no cluster was named"):
        resolve("")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[clusters.lab]\nadress = 'x'\n", "clusters.lab"),
        ("[clusters.lab]\naddress = 'http://x'\npyton = '/x'\n", "Did you mean 'python'"),
        ("[clusters.lab\n", "cannot be read"),
        ("[clusters]\nlab = 3\n", "clusters.lab"),
    ],
)
def test_a_wrong_file_is_an_error_of_configuration(clusters: Path, text: str, hint: str) -> None:
    clusters.write_text(text)
    with pytest.raises(ConfigError, match=hint):
        named_clusters()


def test_the_file_is_in_the_users_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPECTROFLOW_CLUSTERS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert clusters_file() == tmp_path / "spectroflow" / "clusters.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert clusters_file() == tmp_path / ".config" / "spectroflow" / "clusters.toml"


def test_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match="no Ray cluster answers"):
            connect(Cluster(address=f"http://127.0.0.1:{port}"))


def test_a_token_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="token is missing"):
        connect(Cluster(address="http://127.0.0.1:1", token_file=str(tmp_path / "token")))
