"""Clusters by name: ``[clusters.NAME]`` tables in a file of the user's.

::

    [clusters.institute]
    address = "https://ray.institute.example:8265"
    python = "/opt/spectroflow/bin/python"
    token_file = "~/.config/spectroflow/institute.token"
    environment = ["AWS_PROFILE", "AWS_ENDPOINT_URL"]

The file is ``$XDG_CONFIG_HOME/spectroflow/clusters.toml`` (``~/.config`` where that is not set), or
what ``SPECTROFLOW_CLUSTERS`` names. It holds no secrets: a token lies in a file of its own.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectroflow.config import nearest
from spectroflow.errors import ConfigError, UsageError

FILE_VARIABLE = "SPECTROFLOW_CLUSTERS"
PYTHON_VARIABLE = "SPECTROFLOW_CLUSTER_PYTHON"


class Cluster(BaseModel):
    """One Ray cluster, seen from here.

    Attributes
    ----------
    address
        URL of the dashboard on the head node, port 8265 unless somebody changed it.
    python
        Absolute path of the interpreter on the cluster that has SpectroFlow installed.
    token_file
        File that holds the token, where the cluster asks for one.
    verify
        Whether to check the server's certificate, or a file of certificates to check it with.
    environment
        Names of environment variables that jobs inherit from the submitter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    python: str = Field(default_factory=lambda: os.environ.get(PYTHON_VARIABLE, sys.executable))
    token_file: str | None = None
    verify: bool | str = True
    environment: tuple[str, ...] = ()


def clusters_file() -> Path:
    """Return where the user's clusters are written down."""
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "spectroflow" / "clusters.toml"


def named_clusters(path: Path | None = None) -> dict[str, Cluster]:
    """Return the clusters of a file, by name; none where there is no file.

    Raises
    ------
    ConfigError
        The file is not TOML, or a key in it is unknown or has a wrong value.
    """
    place = path or clusters_file()
    try:
        tree = tomllib.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"the list of clusters cannot be read ({error})", where=str(place), remedy="Correct it."
        ) from None
    found = {}
    for name, fields in tree.get("clusters", {}).items():
        try:
            found[name] = Cluster.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in ("clusters", name, *first["loc"]))
            hint = nearest(str(first["loc"][-1]) if first["loc"] else "", Cluster.model_fields)
            raise ConfigError(
                f"{key}: {first['msg'].lower()}",
                where=str(place),
                remedy=hint or f"Known are {', '.join(Cluster.model_fields)}.",
            ) from None
    return found


def resolve(name_or_address: str) -> Cluster:
    """Return the cluster that ``--cluster`` means: a name from the file, or an address.

    Parameters
    ----------
    name_or_address
        ``institute``, ``http://head:8265`` or ``head:8265``.

    Raises
    ------
    UsageError
        It is empty, or neither a known name nor an address.
    """
    known = named_clusters()
    if name_or_address in known:
        return known[name_or_address]
    if "://" in name_or_address:
        return Cluster(address=name_or_address.rstrip("/"))
    if ":" in name_or_address:
        return Cluster(address=f"http://{name_or_address}")
    what = f"there is no cluster {name_or_address!r}" if name_or_address else "no cluster was named"
    hint = nearest(name_or_address, known) or (f"Known are {', '.join(sorted(known))}." if known else "")
    raise UsageError(
        what,
        remedy=hint or f"Give an address such as http://head:8265, or write [clusters.NAME] into {clusters_file()}.",
    )
