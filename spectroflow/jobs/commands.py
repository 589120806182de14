"""Every job by name, imported when it is first used: ``commands.fit(...)`` does not wait for torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectroflow.jobs.convert import convert as convert
    from spectroflow.jobs.demo import demo as demo
    from spectroflow.jobs.evaluate import evaluate as evaluate
    from spectroflow.jobs.export import export as export
    from spectroflow.jobs.fit import fit as fit
    from spectroflow.jobs.inspection import inspect as inspect
    from spectroflow.jobs.inspection import status as status
    from spectroflow.jobs.library import build_library as build_library
    from spectroflow.jobs.maintain import compact as compact
    from spectroflow.jobs.maintain import gc as gc
    from spectroflow.jobs.maintain import restore as restore
    from spectroflow.jobs.maintain import verify as verify
    from spectroflow.jobs.maintain import versions as versions
    from spectroflow.jobs.pipeline import run_pipeline as run_pipeline
    from spectroflow.jobs.plot import plot as plot
    from spectroflow.jobs.report import write_report as write_report
    from spectroflow.jobs.retry import retry as retry
    from spectroflow.jobs.simulate import simulate as simulate
    from spectroflow.jobs.train import train as train
    from spectroflow.jobs.transfer import transfer as transfer

_MODULES = {
    "build_library": "library",
    "compact": "maintain",
    "gc": "maintain",
    "inspect": "inspection",
    "restore": "maintain",
    "run_pipeline": "pipeline",
    "status": "inspection",
    "verify": "maintain",
    "versions": "maintain",
    "write_report": "report",
    **{
        name: name
        for name in (
            *("convert", "demo", "evaluate", "export", "fit"),
            *("plot", "retry", "simulate", "train", "transfer"),
        )
    },
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"there is no job {name!r}")
    return getattr(import_module(f"spectroflow.jobs.{_MODULES[name]}"), name)
