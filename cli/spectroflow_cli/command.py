"""Turn a plain function into a command: shared options, the cluster, progress, errors, exit codes.

A function that does work takes a :class:`~spectroflow_cli.request.Request` first and its own arguments
after it; every function returns what is printed. Everything that all commands have in common happens here.
"""

from __future__ import annotations

import inspect
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import typer

from spectroflow.errors import Interrupted, SpectroFlowError
from spectroflow_cli import options, output
from spectroflow_cli.progress import shown
from spectroflow_cli.request import Request

_WRITING: dict[str, tuple[Any, Any]] = {
    "config": (options.ConfigFile, None),
    "overrides": (options.Overrides, None),
    "where": (options.Where, None),
    "dry_run": (options.DryRun, False),
    "workers": (options.Workers, None),
    "max_failed": (options.MaxFailed, None),
    "cluster": (options.Cluster, None),
}
_ALWAYS: dict[str, tuple[Any, Any]] = {
    "json": (options.Json, False),
    "debug": (options.Debug, False),
    "log_format": (options.LogFormatOption, options.LogFormat.text),
}

Command = Callable[..., output.Result | None]


def job(function: Command) -> Callable[..., None]:
    """Make a command that does work: it takes every shared option, on a cluster or here."""
    return _command(function, {**_WRITING, **_ALWAYS}, takes_request=True)


def query(function: Command) -> Callable[..., None]:
    """Make a command that only looks, or that concerns this machine: it takes its own arguments only."""
    return _command(function, _ALWAYS, takes_request=False)


def _command(function: Command, shared: Mapping[str, tuple[Any, Any]], *, takes_request: bool) -> Callable[..., None]:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[int(takes_request) :]
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in shared.items()
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *extra]

    def wrapper(context: typer.Context, **values: Any) -> None:
        given = {name: values.pop(name) for name in shared}
        request = Request(
            command=command_name(context),
            **{name: _plain(value) for name, value in given.items() if value is not None},
        )
        with _exit_codes(request):
            if request.cluster:
                raise typer.Exit(_submit(context, parameters, request))
            if takes_request:
                with shown(request) as listener:
                    result = function(request.listening(listener), **values)
            else:
                result = function(**values)
            if result is not None:
                output.show(result, as_json=request.json)
                raise typer.Exit(result.exit_code)

    wrapper.__doc__ = function.__doc__
    wrapper.__name__ = function.__name__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def command_name(context: typer.Context) -> str:
    """Return the words of the command without the program: ``convert``, ``library build``."""
    words: list[str] = []
    level: Any = context
    while level.parent is not None:
        words.insert(0, str(level.info_name))
        level = level.parent
    return " ".join(words)


@contextmanager
def _exit_codes(request: Request) -> Iterator[None]:
    """End with one sentence and the documented exit code, whatever goes wrong."""
    try:
        with _sigterm_interrupts():
            yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except SpectroFlowError as error:
        raise _end(request, str(error), error.exit_code) from None
    except KeyboardInterrupt:
        raise _end(request, "interrupted; the same command resumes", Interrupted.exit_code) from None
    except Exception as error:
        text = f"this is a bug: {type(error).__name__}: {error}. Run it again with --debug and report what it shows."
        raise _end(request, " ".join(text.split()), 1) from None


def _end(request: Request, text: str, code: int) -> typer.Exit:
    if request.debug:
        traceback.print_exc()
    output.say(text, log_format=request.log_format, exit_code=code)
    return typer.Exit(code)


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, by which schedulers end a job, do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except SystemExit as error:
        # Ray replaces the handler by one that exits with the number of the signal.
        if error.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _submit(context: typer.Context, parameters: list[inspect.Parameter], request: Request) -> int:
    from spectroflow.cluster import Argument, submit

    arguments = []
    kinds = {p.name: _path_kind(p.annotation) for p in parameters}
    for parameter in context.command.params:
        name = str(parameter.name)
        value = context.params.get(name)
        if name == "cluster" or value in (None, False, [], ()):
            continue
        several = value if isinstance(value, (list, tuple)) else [value]
        option = None if parameter.param_type_name == "argument" else parameter.opts[0]
        values = () if value is True else tuple(str(_plain(one)) for one in several)
        arguments.append(Argument(option, values, kinds[name]))
    return submit(request.command, arguments, str(request.cluster), result=output.write, log=output.relay)


def _path_kind(annotation: Any) -> Literal["shared", "carried"] | None:
    found = [extra.name for extra in get_args(annotation)[1:] if isinstance(extra, options.PathKind)]
    return found[0] if found else None


def _plain(value: Any) -> Any:
    """Return the string behind an enumeration's member."""
    return getattr(value, "value", value)
