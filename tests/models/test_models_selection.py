"""Of very many spectra some are learned from: which."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.models.selection import Names, choose


def names(prefix: str, counts: list[int], samples: str = "S") -> Names:
    """Return spectra of materials, so many of each, every one of a sample of its own."""
    label = [f"material-{m}" for m, count in enumerate(counts) for _ in range(count)]
    sample = [f"{samples}{m}-{i}" for m, count in enumerate(counts) for i in range(count)]
    return Names(label, sample, [f"{prefix}-{row}" for row in range(len(label))])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 60))
def test_every_material_keeps_one_before_any_keeps_a_second(counts: list[int], most: int) -> None:
    own = names("raman", counts)
    chosen = choose({"raman": own}, most)["raman"]
    assert chosen.sum() == min(most, len(own))
    kept = np.asarray([int(chosen[np.asarray(own.label) == f"material-{m}"].sum()) for m in range(len(counts))])
    fewer = kept < np.asarray(counts)  # materials that could have kept more
    if fewer.any():
        assert kept.max() <= kept[fewer].min() + 1


@given(st.permutations(range(24)), st.integers(1, 24))
def test_the_choice_depends_on_names_not_on_their_order(order: list[int], most: int) -> None:
    own = names("raman", [6, 6, 6, 6])
    moved = Names(*([column[i] for i in order] for column in (own.label, own.sample, own.digest)))
    one, other = (choose({"raman": n}, most)["raman"] for n in (own, moved))
    assert {own.digest[i] for i in np.flatnonzero(one)} == {moved.digest[i] for i in np.flatnonzero(other)}


def test_pairs_stay_pairs() -> None:
    counts = [40, 30, 20, 10]
    raman, infrared = names("raman", counts), names("ir", [10, 10, 10, 10])
    chosen = choose({"raman": raman, "ir": infrared}, 16)
    first, second = (
        {named.sample[i] for i in np.flatnonzero(chosen[name])} for name, named in (("raman", raman), ("ir", infrared))
    )
    assert first == second  # all that were chosen have a partner, and it was chosen, too
    alone = choose({"raman": raman, "ir": names("ir", [10, 10, 10, 10], samples="T")}, 16)
    assert alone["raman"].sum() == 16


def test_few_spectra_are_all_learned_from() -> None:
    assert choose({"raman": names("raman", [3, 4])}, 7)["raman"].all()
