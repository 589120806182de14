"""The plan: everything that decides what a run writes, fixed before anything runs.

A plan is saved once, by exclusive creation, and never changes. Its fingerprint covers what decides
the content of the result; the same command on the same input therefore finds its own run again and
resumes it, and anything else is another run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spectroflow.engine.unit import Group, Unit
from spectroflow.errors import ArchiveError, PlanMismatch
from spectroflow.storage import AlreadyExists, Location

PLAN_FORMAT = 1
PLAN_NAME = "plan.json"

_NOT_CONTENT = frozenset({"engine"})
"""Sections of the configuration that say how a run is carried out, not what it writes."""


class Estimate(BaseModel):
    """What a run is expected to need.

    Attributes
    ----------
    units, rows
        How much there is to do.
    bytes
        What the run will write, uncompressed.
    memory_bytes
        Peak resident memory of one worker.
    seconds
        Work of one worker for all of it, or None where nobody knows.
    seconds_from
        Where that was learned, for people to read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: int = 0
    rows: int = 0
    bytes: int = 0
    memory_bytes: int = 0
    seconds: float | None = None
    seconds_from: str = ""


class Plan(BaseModel):
    """An immutable description of one run.

    Attributes
    ----------
    run
        The run's name; :meth:`of` derives it from job and fingerprint.
    job
        What kind of work it is.
    command
        What the user asked for, for people to read; not part of the fingerprint.
    base_version
        The archive version the plan was made from; not part of the fingerprint, since what the job
        takes from it is in ``groups``, ``payload`` and ``digests``.
    config
        The resolved configuration. Its ``engine`` table is not part of the fingerprint.
    groups
        What is cut into units.
    unit_shards
        Shards of one unit; not part of the fingerprint, since content does not depend on it.
    payload
        Whatever the job needs to make its processor again.
    digests
        Of inputs, configuration, code and model.
    estimate
        What the run will need; not part of the fingerprint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = PLAN_FORMAT
    run: str
    job: str
    command: dict[str, Any] = Field(default_factory=dict)
    base_version: int = 0
    config: dict[str, Any] = Field(default_factory=dict)
    groups: list[Group]
    unit_shards: int = Field(default=1, gt=0)
    payload: dict[str, Any] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    estimate: Estimate = Estimate()

    @model_validator(mode="after")
    def _distinct_groups(self) -> Self:
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError("two groups have the same name")
        return self

    @classmethod
    def of(cls, *, job: str, **fields: Any) -> Plan:
        """Return a plan whose run is named ``<job>-<first 12 digits of the fingerprint>``."""
        unnamed = cls(run=job, job=job, **fields)
        return unnamed.model_copy(update={"run": f"{job}-{unnamed.fingerprint[:12]}"})

    @property
    def content(self) -> dict[str, Any]:
        """Everything that decides what the run writes."""
        tree = self.model_dump(mode="json", include={"format", "job", "groups", "payload", "digests"})
        tree["config"] = {key: value for key, value in _plain(self.config).items() if key not in _NOT_CONTENT}
        return tree

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of :attr:`content`."""
        return hashlib.blake2b(_canonical(self.content), digest_size=32).hexdigest()

    @property
    def rows(self) -> int:
        """How many rows the run accounts for."""
        return sum(group.rows for group in self.groups)

    @property
    def unit_count(self) -> int:
        """How many units there are."""
        return sum(group.count(self.unit_shards) for group in self.groups)

    def units(self) -> Iterator[Unit]:
        """Yield all units, sorted by group name, then by row; never held as a list."""
        for group in sorted(self.groups, key=lambda group: group.name):
            yield from group.units(self.unit_shards)

    def unit(self, name: str) -> Unit | None:
        """Return the unit of this id, or None where the plan has no such unit."""
        group_name, _, digits = name.rpartition("-")
        group = next((group for group in self.groups if group.name == group_name), None)
        if group is None or not (digits.isascii() and digits.isdigit()):
            return None
        number = int(digits)
        if number >= group.count(self.unit_shards):
            return None
        unit = group.unit(number, self.unit_shards)
        return unit if unit.id == name else None


def secure(plan: Plan, run_dir: Location) -> Plan:
    """Save a plan, or find the one that is already there.

    Parameters
    ----------
    plan
        What is to be done now.
    run_dir
        The folder of the run.

    Returns
    -------
    Plan
        The saved plan. Where the run exists it is the earlier one, whose units are the ones that markers
        speak of.

    Raises
    ------
    PlanMismatch
        The run was planned from other input, configuration or code.
    """
    place = run_dir / PLAN_NAME
    try:
        place.create_exclusive(plan.model_dump_json(indent=1).encode())
    except AlreadyExists:
        saved = load_plan(run_dir)
        require_same(saved, plan, where=str(place))
        return saved
    return plan


def load_plan(run_dir: Location) -> Plan:
    """Read the plan of a run.

    Raises
    ------
    ArchiveError
        There is none, or it cannot be read.
    """
    place = run_dir / PLAN_NAME
    try:
        return place.read_decoded(Plan.model_validate_json)
    except FileNotFoundError:
        raise ArchiveError("there is no such run", where=str(run_dir), remedy="List the runs with status.") from None
    except ValidationError:
        raise ArchiveError(
            "the plan of this run cannot be read",
            where=str(place),
            remedy="Delete the folder of the run and start over.",
        ) from None


def require_same(saved: Plan, wanted: Plan, *, where: str) -> None:
    """Raise :class:`PlanMismatch`, naming what differs, unless both plans write the same content."""
    if saved.fingerprint == wanted.fingerprint:
        return
    found = differences(saved.content, wanted.content)
    shown = "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
    raise PlanMismatch(
        f"the run {saved.run} was planned differently: {shown}",
        where=where,
        remedy="Start it as another run, or go back to what it was planned with to resume it.",
    )


def differences(saved: Any, wanted: Any, path: str = "") -> list[str]:
    """Return ``"path: saved -> wanted"`` for every leaf in which two JSON trees differ."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        found = []
        for key in sorted(saved.keys() | wanted.keys()):
            inner = f"{path}.{key}" if path else str(key)
            found += differences(saved.get(key), wanted.get(key), inner)
        return found
    if isinstance(saved, list) and isinstance(wanted, list) and len(saved) == len(wanted):
        pairs = enumerate(zip(saved, wanted, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    return [] if saved == wanted else [f"{path}: {_short(saved)} -> {_short(wanted)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the tree as JSON has it, so that a saved and a fresh plan are compared alike."""
    plain: dict[str, Any] = json.loads(_canonical(tree))
    return plain


def _canonical(tree: Any) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
