from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import InvalidInput
from spectroflow.models.data import TrainingData
from spectroflow.models.folds import FoldIndex, Split, folds_by_material, group_materials, refuse_overlap, sample_unit

ROWS = st.lists(
    st.tuples(st.sampled_from("ABCDEFGHIJ"), st.sampled_from(["", *(f"R{i}" for i in range(12))])), min_size=1
)


@given(ROWS)
def test_what_shares_a_label_or_a_sample_is_one_group(rows: list[tuple[str, str]]) -> None:
    groups = group_materials(*zip(*rows, strict=True))
    for (label, sample), group in zip(rows, groups, strict=True):
        for (other_label, other_sample), other in zip(rows, groups, strict=True):
            if label == other_label or (sample and sample == other_sample):
                assert group == other


@given(ROWS)
def test_what_nothing_ties_together_is_apart(rows: list[tuple[str, str]]) -> None:
    # An independent oracle: connected components by repeated merging of sets.
    parts: list[set[str]] = []
    for label, sample in rows:
        new = {"L" + label} | ({"S" + sample} if sample else set())
        touching = [p for p in parts if p & new]
        parts = [p for p in parts if not p & new] + [set().union(new, *touching)]
    assert len(set(group_materials(*zip(*rows, strict=True)))) == len(parts)


@given(ROWS.filter(lambda rows: len({r[0] for r in rows}) > 6), st.integers(0, 5), st.randoms())
def test_folds_are_whole_groups_and_do_not_depend_on_the_order(rows: list[tuple[str, str]], seed: int, random) -> None:
    if len(set(group_materials(*zip(*rows, strict=True)))) < 3:
        return
    folds = dict(zip(rows, folds_by_material(*zip(*rows, strict=True), 3, seed), strict=True))
    assert set(folds.values()) == {0, 1, 2}
    groups = group_materials(*zip(*rows, strict=True))
    assert len({(g, folds[r]) for g, r in zip(groups, rows, strict=True)}) == len(set(groups))
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert folds == dict(zip(shuffled, folds_by_material(*zip(*shuffled, strict=True), 3, seed), strict=True))


def test_one_sample_under_two_names_ties_both() -> None:
    groups = group_materials(["Albite", "Anorthoclase", "Albite", "Quartz"], ["R060054", "R060054", "R1", "R2"])
    assert groups == ["Albite", "Albite", "Albite", "Quartz"]


def test_folds_hold_about_as_many_spectra_each() -> None:
    labels = [f"m{i}" for i in range(100) for _ in range(1 + i % 7)]
    counts = [int((folds_by_material(labels, [""] * len(labels), 5, 0) == f).sum()) for f in range(5)]
    assert max(counts) - min(counts) <= 7


def test_too_few_materials_and_unnamed_spectra_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"2 materials cannot be split into 3 folds"):
        folds_by_material(["a", "b", "a"], ["", "", ""], 3, 0)
    with pytest.raises(InvalidInput, match=r"row 1.*neither a label nor a sample"):
        group_materials(["a", ""], ["", ""])


def test_a_material_on_both_sides_is_refused() -> None:
    refuse_overlap(["a", "", "b"], ["c", ""])
    with pytest.raises(InvalidInput, match=r"1 material.*'b'"):
        refuse_overlap(["a", "b"], ["b", "c"])


@pytest.mark.parametrize("split", ["species", "sample", "paper"])
def test_a_split_keeps_its_own_units_whole_and_no_larger_ones(small_data: TrainingData, split: Split) -> None:
    folds = small_data.folds(3, 0, split)
    of_material: dict[str, set[int]] = {}
    of_sample: dict[str, set[int]] = {}
    for name, table in small_data.spectra.items():
        for label, sample, fold in zip(table.label, table.sample, folds[name].tolist(), strict=True):
            of_material.setdefault(label, set()).add(fold)
            of_sample.setdefault(sample, set()).add(fold)
    assert all(len(seen) == 1 for seen in of_material.values()) == (split == "species")
    assert all(len(seen) == 1 for seen in of_sample.values()) == (split != "paper")


@pytest.mark.parametrize("split", ["species", "sample", "paper"])
def test_every_training_record_is_found_in_its_fold_and_nothing_else_is(small_data: TrainingData, split: Split) -> None:
    folds = small_data.folds(3, 0, split)
    index = FoldIndex.of(small_data.spectra, folds, split)
    for name, table in small_data.spectra.items():
        for row in range(len(table)):
            assert index.find(table.label[row], table.sample[row], table.digest[row]) == folds[name][row]
    known = small_data.spectra["raman"]
    assert index.find("never seen", "nor this", "nor that") is None
    # A new sample of a known material was in training only for a model that keeps materials whole.
    assert (index.find(known.label[0], "new sample", "new digest") is not None) == (split == "species")
    assert (index.find("other label", known.sample[0], "new digest") is not None) == (split != "paper")


def test_unnamed_samples_of_one_label_stay_together() -> None:
    assert sample_unit("Quartz", "") == sample_unit("Quartz", "")
    assert sample_unit("Quartz", "") != sample_unit("Quartz", "R1")
