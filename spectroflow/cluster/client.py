"""The connection to a cluster's Jobs API, with errors that a person can act on."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectroflow.cluster.addresses import Cluster
from spectroflow.errors import Unreachable

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

CONNECT_SECONDS = 10.0

_OVERRIDES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
"""Variables that Ray lets win over the address that it is given."""


def connect(cluster: Cluster) -> JobSubmissionClient:
    """Return a client of the cluster's Jobs API.

    Raises
    ------
    Unreachable
        Nobody answers at the address, what answers is no Ray cluster, or it does not accept the token.
    """
    _use_token(cluster)
    _knock(cluster)
    with reported(cluster), _without(_OVERRIDES):
        from ray.job_submission import JobSubmissionClient

        return JobSubmissionClient(cluster.address, verify=cluster.verify)


@contextmanager
def reported(cluster: Cluster) -> Iterator[None]:
    """Turn whatever the client raises into :class:`Unreachable`."""
    try:
        yield
    except (KeyboardInterrupt, Unreachable):
        raise
    except Exception as error:
        name = type(error).__name__
        if name == "AuthenticationError":
            raise Unreachable(
                "the cluster does not accept this token",
                where=cluster.address,
                remedy="Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or token_file in clusters.toml.",
            ) from None
        text = " ".join(str(error).split())[:300]
        raise Unreachable(
            f"the cluster does not answer as it should ({name}: {text})",
            where=cluster.address,
            remedy="Check it with spectroflow doctor --cluster.",
        ) from error


def _knock(cluster: Cluster) -> None:
    """Fail soon where nobody listens: Ray's own client waits without a limit."""
    if not cluster.address.startswith(("http://", "https://")):
        return
    try:
        with urllib.request.urlopen(f"{cluster.address}/api/version", timeout=CONNECT_SECONDS):
            return
    except urllib.error.HTTPError:
        return  # Somebody answers; who it is and what is wrong, the client finds out.
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if "CERTIFICATE" in str(reason):
            return  # Whether a certificate is good is decided by cluster.verify, in the client.
        raise Unreachable(
            f"no Ray cluster answers there ({reason})",
            where=cluster.address,
            remedy="Start the cluster, or correct --cluster: it is the address of the dashboard, port 8265 by default.",
        ) from None


def _use_token(cluster: Cluster) -> None:
    if cluster.token_file is None:
        return
    path = Path(cluster.token_file).expanduser()
    if not path.is_file():
        raise Unreachable(
            "the file with the cluster's token is missing", where=str(path), remedy="Put the token there."
        )
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    os.environ.pop("RAY_AUTH_TOKEN", None)


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    saved: dict[str, Any] = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)
