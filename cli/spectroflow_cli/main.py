"""The command line: every command, in the order in which people meet them."""

from __future__ import annotations

from collections.abc import Callable

import typer

from spectroflow_cli import (
    cluster_jobs,
    compact,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    fit,
    gc,
    inspect,
    library,
    plot,
    report,
    restore,
    retry,
    run,
    simulate,
    status,
    train,
    transfer,
    verify,
    versions,
)

PANELS: dict[str, list[Callable[..., None]]] = {
    "The way of the spectra": [
        convert.convert,
        fit.fit,
        train.train,
        transfer.transfer,
        evaluate.evaluate,
        report.report,
        run.run,
    ],
    "Getting spectra in and out": [demo.demo, simulate.simulate, export.export, plot.plot],
    "Looking after an archive": [
        status.status,
        inspect.inspect,
        verify.verify,
        retry.retry,
        versions.versions,
        restore.restore,
        compact.compact,
        gc.gc,
    ],
    "Machines and clusters": [doctor.doctor],
}

app = typer.Typer(
    name="spectroflow",
    help="A distributed batch engine for large archives of spectra.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 a bug; 2 usage; 3 invalid input; 4 too many failed records; "
    "5 a quality gate failed; 6 cluster or storage unreachable; 130 interrupted.",
)

for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__, rich_help_panel=panel)(command)
app.add_typer(library.app, name="library", rich_help_panel="The way of the spectra")
app.add_typer(cluster_jobs.app, name="jobs", rich_help_panel="Machines and clusters")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"spectroflow {version('spectroflow')}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """A distributed batch engine for large archives of spectra."""
