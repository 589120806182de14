"""Moves units through a processor and loses nothing: plan, prepare, dispatch, finalize.

The engine knows nothing of spectra. A job makes a :class:`Plan` and a :class:`Processor`, calls
:func:`execute`, and commits what came out. Whatever dies in between, calling it again goes on from the
units that lack a marker, and ends with the same bytes.
"""

from spectroflow.engine.attempt import Outcome, Workshop
from spectroflow.engine.code import code_digest
from spectroflow.engine.event_log import EventLog, last_event, last_progress, read_events
from spectroflow.engine.events import Event, Listener
from spectroflow.engine.finalize import METRICS_NAME, Totals, sweep, verify_and_merge
from spectroflow.engine.ledger import Ledger, Marker
from spectroflow.engine.plan import Estimate, Plan, load_plan
from spectroflow.engine.processor import Failure, Processor, Resources, UnitResult
from spectroflow.engine.quarantine import all_failures, quarantined_units, read_failures
from spectroflow.engine.run import ExecuteOptions, RunResult, execute, run_folder
from spectroflow.engine.sizing import Pace, earlier_pace, measured_pace, sized, unit_shards_for
from spectroflow.engine.unit import Group, Unit

__all__ = [
    "METRICS_NAME",
    "Estimate",
    "Event",
    "EventLog",
    "ExecuteOptions",
    "Failure",
    "Group",
    "Ledger",
    "Listener",
    "Marker",
    "Outcome",
    "Pace",
    "Plan",
    "Processor",
    "Resources",
    "RunResult",
    "Totals",
    "Unit",
    "UnitResult",
    "Workshop",
    "all_failures",
    "code_digest",
    "earlier_pace",
    "execute",
    "last_event",
    "last_progress",
    "load_plan",
    "measured_pace",
    "quarantined_units",
    "read_events",
    "read_failures",
    "run_folder",
    "sized",
    "sweep",
    "unit_shards_for",
    "verify_and_merge",
]
