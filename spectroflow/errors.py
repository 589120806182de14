"""One tree of errors.

Every error that SpectroFlow raises on purpose derives from :class:`SpectroFlowError`. Each one says
what happened, to which file or row, and what to do about it, and each class knows the exit code of
the command that ends with it::

    SpectroFlowError             1   (never raised itself; an unexpected failure is a bug)
    +-- UsageError               2   a command or an API was called wrongly
    +-- InvalidInput             3   what was given cannot be used
    |   +-- ConfigError          3   a configuration file or ``--set`` is wrong
    |   +-- ArchiveError         3   an archive, segment, layer or version is not what it should be
    |   +-- ModelError           3   a model directory cannot be used for this
    |   +-- PlanMismatch         3   a run cannot be resumed because its plan differs
    |   +-- CommitConflict       3   somebody else committed something that excludes this
    |   +-- RecordError          3   one record cannot be used; costs that record only
    +-- UnitError                1   a unit of a run cannot be done; the rest stays done
    +-- TooManyFailures          4   done, but more failed records than allowed
    +-- QualityGateFailed        5   a figure is worse than the gate that was asked for
    +-- Unreachable              6   cluster or storage cannot be reached
    +-- Interrupted            130   stopped by the user; the same command resumes
"""

from __future__ import annotations

from typing import Any, ClassVar


class SpectroFlowError(Exception):
    """Base of all errors.

    Parameters
    ----------
    message
        What happened, as one sentence without a trailing full stop.
    where
        The file, URL, row or key it happened to.
    remedy
        What the reader can do about it, as an imperative sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}. {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the keyword arguments, so that errors cross process borders whole."""
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(kind: type[SpectroFlowError], message: str, state: dict[str, Any]) -> SpectroFlowError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class UsageError(SpectroFlowError):
    """A command or a function was called in a way that cannot work."""

    exit_code = 2


class InvalidInput(SpectroFlowError):
    """What was given cannot be used: a path, a file, an archive, a model."""

    exit_code = 3


class ConfigError(InvalidInput):
    """A configuration file or an override is wrong."""


class ArchiveError(InvalidInput):
    """An archive, or a part of one, is missing or not what its version says."""


class ModelError(InvalidInput):
    """A model directory cannot be read, or was made for something else."""


class PlanMismatch(InvalidInput):
    """A run of this name exists, but was planned from other input, configuration or code."""


class CommitConflict(InvalidInput):
    """Another run committed a version that this one cannot follow."""


class RecordError(InvalidInput):
    """One record, or one source file, cannot be used.

    Parameters
    ----------
    code
        The name of the status, one of :data:`spectroflow.status.FAILED` or ``SKIPPED``.
    """

    def __init__(self, code: str, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.code = code


class UnitError(SpectroFlowError):
    """A unit of a run cannot be done, for a reason that lies in the code; what is done stays done."""


class TooManyFailures(SpectroFlowError):
    """The run is done and committed, but more records failed than ``--max-failed`` allows."""

    exit_code = 4


class QualityGateFailed(SpectroFlowError):
    """A measured figure is worse than the gate that was set for it."""

    exit_code = 5


class Unreachable(SpectroFlowError):
    """A cluster or a storage service cannot be reached, or does not have what the plan needs."""

    exit_code = 6


class Interrupted(SpectroFlowError):
    """The user stopped the command; running it again resumes."""

    exit_code = 130
