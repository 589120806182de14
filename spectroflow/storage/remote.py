"""Object storage through fsspec: one file system per protocol and process, retries with jitter."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from spectroflow.errors import ArchiveError, Unreachable, UsageError

ATTEMPTS = 8
"""Requests that are made at most for one answer; nothing below this layer repeats any."""

LONGEST_WAIT = 20.0
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""How long a request may stay without a byte of an answer."""

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_TRANSIENT = frozenset(
    {"408", "429", "500", "502", "503", "504"}
    | {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"}
    | {"ConditionalRequestConflict"}
)
"""What services say, as a status or as a code, where trying again can help."""

_TRANSIENT_NAMES = ("Timeout", "Connection", "Disconnected", "Payload", "Endpoint", "Incomplete", "Checksum", "Parser")

T = TypeVar("T")


def file_system(protocol: str, *, repeats: bool = False) -> Any:
    """Return the fsspec file system of a protocol, with listings never cached.

    With ``repeats`` it repeats requests by itself, for libraries that are given it; otherwise that is left to
    :func:`retrying`, since attempts would multiply.

    Credentials and endpoints come from the standard chain of each service (environment, profile,
    instance role); they are never part of a URL, a plan or a log.

    Raises
    ------
    UsageError
        The package for the protocol is not installed, or nobody knows the protocol.
    """
    import fsspec

    options: dict[str, Any] = {}
    if protocol in {"s3", "s3a"}:
        limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": _silence()}
        options = {
            "use_listings_cache": False,
            "config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 4 if repeats else 1}, **limits},
        }
    elif protocol in {"gs", "gcs"}:
        options = {"use_listings_cache": False}
    try:
        system = fsspec.filesystem(protocol, **options)
    except ImportError:
        package = _PACKAGES.get(protocol, "the fsspec package of that protocol")
        extra = {"s3fs": "s3", "gcsfs": "gs"}.get(package, "")
        remedy = f"pip install 'spectroflow[{extra}]'." if extra else f"Install {package}."
        raise UsageError(f"{protocol}:// needs {package}, which is not installed", remedy=remedy) from None
    except ValueError:
        raise UsageError(
            f"{protocol}:// is not a storage protocol that fsspec knows", remedy="Check the URL."
        ) from None
    if protocol in {"s3", "s3a"} and not repeats:
        system.retries = 1
    return system


def retrying(action: Callable[[], T], *, where: str) -> T:
    """Run an action on object storage, again on transient errors, waiting longer each time.

    ``FileNotFoundError`` and ``FileExistsError`` are answers and pass through.

    Raises
    ------
    Unreachable
        The service still failed after the last attempt.
    ArchiveError
        The service refused for good (no permission, no such bucket).
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except (FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            if "RequestTimeTooSkewed" in _said(error):
                raise Unreachable(
                    "the store refuses because this machine's clock is wrong",
                    where=where,
                    remedy="Set the clock, then run the same command again; it resumes.",
                ) from error
            raise ArchiveError(
                f"access is denied ({error})", where=where, remedy="Check the credentials and the bucket's policy."
            ) from error
        except Exception as error:
            if "Credential" in type(error).__name__:
                raise Unreachable(
                    f"there are no usable credentials ({error})",
                    where=where,
                    remedy="Set them in the environment, in a profile or by the instance's role.",
                ) from error
            if not is_transient(error):
                raise
            if attempt == ATTEMPTS:
                raise Unreachable(
                    f"storage did not answer after {ATTEMPTS} attempts ({type(error).__name__}: {error})",
                    where=where,
                    remedy="Check the endpoint and the network, then run the same command again; it resumes.",
                ) from error
        time.sleep(min(LONGEST_WAIT, 0.2 * 2**attempt) * random.uniform(0.5, 1.5) * _patience())
    raise AssertionError("unreachable")


def is_transient(error: BaseException) -> bool:
    """Say whether trying again can help: timeouts, broken connections, throttling, server errors.

    fsspec turns answers of services into ``OSError``; what the service said is in their cause.
    """
    if isinstance(error, (TimeoutError, ConnectionError)):
        return True
    if any(word in type(error).__name__ for word in _TRANSIENT_NAMES):
        return True
    return bool(_said(error) & _TRANSIENT)


def _said(error: BaseException) -> set[str]:
    """Return the HTTP status and the code that the service gave, as botocore and gcsfs keep them."""
    said = set()
    for found in (error, error.__cause__):
        answer = getattr(found, "response", None)
        if isinstance(answer, dict):
            said.add(str(answer.get("Error", {}).get("Code")))
            said.add(str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode")))
        said.add(str(getattr(found, "code", None)))
    return said


def _silence() -> float:
    """Seconds without a byte after which a request is given up; tests and slow stores set their own."""
    return float(os.environ.get("SPECTROFLOW_STORAGE_TIMEOUT", SILENCE_SECONDS))


def _patience() -> float:
    """Scale of the waits between attempts; tests that provoke errors set it low."""
    return float(os.environ.get("SPECTROFLOW_RETRY_SCALE", "1"))
