"""Every argument and option of the command line, declared once.

A command names the ones it takes in its signature. Paths carry a marker that says how they reach a
cluster: :data:`SHARED` paths are opened where the command runs, :data:`CARRIED` ones are small files
of the submitter that travel along.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

import typer


@dataclass(frozen=True)
class PathKind:
    """How a path is meant once the command runs on a cluster."""

    name: Literal["shared", "carried"]


SHARED = PathKind("shared")
CARRIED = PathKind("carried")

COMMON = "Common options"
URL = "Path or URL (s3://, gs://, file://)."

# Arguments

Sources = Annotated[list[str], typer.Argument(metavar="SRC...", help=f"Files, folders, globs. {URL}"), SHARED]
Archive = Annotated[str, typer.Argument(metavar="ARCHIVE", help=f"The archive. {URL}"), SHARED]
MaybeArchive = Annotated[
    str | None, typer.Argument(metavar="[ARCHIVE]", help=f"The archive with the measured spectra. {URL}"), SHARED
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help=f"A model directory. {URL}"), SHARED]
Out = Annotated[str, typer.Argument(metavar="OUT", help=f"What is written. {URL}"), SHARED]
OutHtml = Annotated[str, typer.Argument(metavar="OUT.html", help=f"The page that is written. {URL}"), SHARED]
Structures = Annotated[list[str], typer.Argument(metavar="CIF-DIR...", help=f"Folders, files, globs. {URL}"), SHARED]
LibraryOut = Annotated[str, typer.Argument(metavar="LIB", help=f"The library. {URL}"), SHARED]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="A model directory, or a generated archive."), SHARED]
Any_ = Annotated[str, typer.Argument(metavar="PATH", help=f"An archive, a run or a model. {URL}"), SHARED]
Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE.toml", help="What the nightly run does."), SHARED]
Selector = Annotated[str, typer.Argument(metavar="SPECTRUM", help="SEGMENT/ROW, a sample id, or a filter.")]
Number = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Number of the version, as versions lists it.")]
DemoFolder = Annotated[str, typer.Argument(metavar="FOLDER", help="Where the demonstration is written."), SHARED]

# Options of single commands


class TrackName(StrEnum):
    """What may be known of a sample besides its spectrum."""

    spectrum = "spectrum"
    elements = "elements"
    formula = "formula"


Manifest = Annotated[
    str | None,
    typer.Option("--manifest", metavar="FILE.csv", help="Table with path, sample_id, label, modality, formula."),
    CARRIED,
]
Modalities = Annotated[
    list[str] | None, typer.Option("--modality", metavar="NAME", help="Only this modality; repeatable.")
]
From = Annotated[list[str] | None, typer.Option("--from", metavar="NAME", help="Modality to start from; repeatable.")]
To = Annotated[list[str] | None, typer.Option("--to", metavar="NAME", help="Modality to generate; one per --from.")]
Folds = Annotated[int | None, typer.Option("--folds", min=3, help="Folds of materials; one ensemble member each.")]
Library = Annotated[
    str | None, typer.Option("--library", metavar="LIB", help="Computed patterns of known structures."), SHARED
]
Track = Annotated[
    TrackName, typer.Option("--track", help="What is used besides the spectrum: its elements, its formula, or nothing.")
]
Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="ARCHIVE", help="Measured spectra to compare a generated archive with."),
    SHARED,
]
Run = Annotated[str | None, typer.Option("--run", metavar="RUN", help="The run whose records are tried again.")]
OnlyFailed = Annotated[bool, typer.Option("--only-failed", help="Records that failed only, not the skipped ones.")]
RetrySources = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="SRC", help="Read these instead of the recorded sources; repeatable."),
    SHARED,
]
Grace = Annotated[str, typer.Option("--grace", metavar="TIME", help="Keep what is younger: 90m, 24h, 7d.")]

Keep = Annotated[
    int | None, typer.Option("--keep", min=1, help="Keep this many of the newest versions; default: all of them.")
]


class Protocol(StrEnum):
    """How training and test materials are kept apart."""

    species = "species"
    sample = "sample"
    paper = "paper"
    all = "all"


class ExportFormat(StrEnum):
    """Forms in which a selection can leave the archive."""

    csv = "csv"
    parquet = "parquet"
    jcamp = "jcamp"


class SimulateFormat(StrEnum):
    """Forms of a synthetic archive."""

    files = "files"
    archive = "archive"


ProtocolOption = Annotated[Protocol, typer.Option("--protocol", help="How training and test are kept apart.")]
ExportFormatOption = Annotated[
    ExportFormat | None, typer.Option("--format", help="Default: by the ending of OUT.", show_default=False)
]
SimulateFormatOption = Annotated[SimulateFormat, typer.Option("--format", help="RRUFF-like files, or an archive.")]

# Options that every command that writes takes

ConfigFile = Annotated[
    str | None, typer.Option("--config", metavar="FILE.toml", help="Configuration.", rich_help_panel=COMMON), CARRIED
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value; repeatable.", rich_help_panel=COMMON),
]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="EXPR", help="Only records for which this holds.", rich_help_panel=COMMON),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and stop.", rich_help_panel=COMMON)]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="N|A..B",
        help="Worker processes; 0 is this process alone, A..B follows the size of the cluster.",
        rich_help_panel=COMMON,
    ),
]
MaxFailed = Annotated[
    str | None,
    typer.Option("--max-failed", metavar="N|P%", help="Exit with 4 where more records fail.", rich_help_panel=COMMON),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Submit to this Ray cluster.", rich_help_panel=COMMON),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=COMMON)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=COMMON)]


class LogFormat(StrEnum):
    """How progress is written to stderr."""

    text = "text"
    json = "json"


LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", help="How progress is written.", rich_help_panel=COMMON)
]

# Options of the commands that look at machines

Storage = Annotated[
    list[str] | None, typer.Argument(metavar="[STORAGE]...", help=f"Where archives will be written. {URL}"), SHARED
]
OnCluster = Annotated[str | None, typer.Option("--cluster", metavar="ADDRESS", help="A Ray cluster to look at.")]
Nodes = Annotated[bool, typer.Option("--nodes", help="Look at every node of the cluster that this process runs on.")]
JobsCluster = Annotated[
    str,
    typer.Option("--cluster", metavar="ADDRESS", envvar="SPECTROFLOW_CLUSTER", help="The Ray cluster, or its name."),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job, as jobs list shows it.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")]
