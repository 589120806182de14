"""Compiling the numerical kernels, and doing without a compiler.

Kernels are compiled by numba, release the GIL and are kept on disk, so that only the first process on
a machine waits for the compiler. Where numba is missing, or ``SPECTROFLOW_NO_NUMBA=1`` asks for it, the
same functions run as Python, and those that loop over points are replaced by NumPy and SciPy ones.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

#: Reassociation lets the compiler use vector registers for sums; NaN and infinity keep their meaning.
FAST = frozenset({"reassoc", "contract", "nsz", "arcp"})
#: For code whose roundings are meant as written.
STRICT = frozenset({"contract", "nsz"})

try:
    if os.environ.get("SPECTROFLOW_NO_NUMBA", "") not in ("", "0"):
        raise ImportError("switched off")
    import numba

    # Straight-line arithmetic on the four parameters of a line goes into vector registers, too: some 4 % of a fit.
    if "NUMBA_SLP_VECTORIZE" not in os.environ:
        numba.config.SLP_VECTORIZE = 1
    COMPILED = True
except ImportError:
    COMPILED = False


def jit(fastmath: frozenset[str] = FAST, inline: bool = False) -> Callable[[F], F]:
    """Return a decorator that compiles a kernel, or leaves it as it is where numba is missing.

    Parameters
    ----------
    fastmath
        The floating-point liberties that the compiler may take.
    inline
        Whether the function is put into its callers before type inference.
    """

    def decorate(function: F) -> F:
        if not COMPILED:
            return function
        options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath), "error_model": "numpy"}
        if inline:
            options["inline"] = "always"
        try:
            compiled = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            # Neither the package nor the user's cache directory can be written: compile in memory.
            return numba.njit(**options)(function)  # type: ignore[no-any-return]
        _stamp(compiled)
        return compiled  # type: ignore[no-any-return]

    return decorate


def _stamp(compiled: Any) -> None:
    """Make a cached kernel depend on all kernel sources, not only on the file that it stands in.

    Numba looks at the modification time of a function's own file; a kernel that inlines a function of
    another file would otherwise run that function's old code after an upgrade.
    """
    files = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if files is not None:
        files._source_stamp = (files._source_stamp, _sources_digest())


def lacks_cache(kernel: Any) -> bool:
    """Say whether a kernel could be kept on disk but is not there yet, or only for older sources."""
    files = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    read_index = getattr(files, "_load_index", None)
    return read_index is not None and not read_index()


@cache
def _sources_digest() -> str:
    digest = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=16)
    package = Path(__file__).resolve().parent.parent
    for room in ("signal", "peaks"):
        for source in sorted((package / room).glob("*.py")):
            content = source.read_bytes()
            # A named tuple is part of the signature of the kernels that take it.
            if b"\n@jit(" in content or b"(NamedTuple)" in content:
                digest.update(content)
    return digest.hexdigest()
