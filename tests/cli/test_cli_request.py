"""Reading the values of options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import ConfigError, UsageError
from spectroflow_cli.request import Request, pair, parse_workers


@given(st.integers(0, 10_000))
def test_a_number_of_workers(number: int) -> None:
    assert parse_workers(str(number)) == number


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_a_range_of_workers(low: int, more: int) -> None:
    assert parse_workers(f"{low}..{low + more}") == (low, low + more)


@given(st.text(max_size=8))
def test_anything_else_is_refused_or_read_whole(text: str) -> None:
    try:
        found = parse_workers(text)
    except UsageError:
        return
    again = f"{found[0]}..{found[1]}" if isinstance(found, tuple) else str(found)
    assert parse_workers(again) == found


@pytest.mark.parametrize("text", ["4..2", "0..3", "-1", "1..", "..3", "1...3", "two", "", "1.5"])
def test_wrong_workers(text: str) -> None:
    with pytest.raises(UsageError):
        parse_workers(text)


def test_pairs_are_taken_in_order() -> None:
    assert pair(["raman", "ir"], ["xrd", "raman"]) == [("raman", "xrd"), ("ir", "raman")]
    assert pair(None, None) == []
    with pytest.raises(UsageError, match=r"1 --from and 0 --to"):
        pair(["raman"], None)


def test_options_of_a_job() -> None:
    request = Request(command="fit", overrides=["fit.effort=fast"], workers="2..3", max_failed="1%", where="x == 1")
    found = request.options(modalities=["raman"], overrides=["train.folds=3"])
    assert found.config.fit.effort == "fast"
    assert found.config.train.folds == 3
    assert found.workers == (2, 3)
    assert found.modalities == ("raman",)
    assert (found.max_failed, found.where, found.dry_run) == ("1%", "x == 1", False)


def test_a_wrong_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'effort'"):
        Request(command="fit", overrides=["fit.efort=fast"]).options()
