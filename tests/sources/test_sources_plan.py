"""A night's plan: only what is new or changed, each record once, nothing lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from sources_kit import modality_of, outcomes, plan, put, rruff, spectrum, touch

from spectroflow.errors import RecordError
from spectroflow.sources import UNKNOWN, SourceReader, digest_of
from spectroflow.sources.reading import digests_of, has_digest


def test_every_source_is_accounted_for(tmp_path):
    put(tmp_path / "a_raman.txt", rruff(1))
    put(tmp_path / "b.xy", spectrum(2))
    put(tmp_path / "broken_xrd.xy", "no numbers")
    put(tmp_path / "empty.xy", "")
    put(tmp_path / "structure.cif", "data_x")
    put(tmp_path / "README", "hello")
    found = plan(tmp_path)
    assert outcomes(found) == {
        "a_raman.txt": "OK",
        "b.xy": "UNKNOWN_MODALITY",
        "broken_xrd.xy": "NOT_A_SPECTRUM",
        "empty.xy": "EMPTY_FILE",
    }
    assert modality_of(found)["a_raman.txt"] == "raman"
    assert found.unclaimed == {"(none)": 1, ".cif": 1}
    assert (found.counts.objects, found.counts.new, found.counts.unclaimed) == (6, 6, 2)
    rows = found.rows[UNKNOWN].to_pylist()
    assert all(row["reason"] and row["remedy"] for row in rows)


def test_an_unchanged_archive_opens_nothing(tmp_path):
    for seed in range(5):
        put(tmp_path / f"{seed}_raman.xy", spectrum(seed))
    put(tmp_path / "x.cif", "data_x")
    put(tmp_path / "bad.xy", "")
    first = plan(tmp_path)
    opened = []
    second = plan(tmp_path, previous=first, listener=lambda *progress: opened.append(progress))
    assert opened == []
    assert second.rows == {}
    assert second.counts.bytes_read == 0
    assert second.counts.unchanged == second.counts.objects == 7
    assert second.catalogue.to_parquet() == first.catalogue.to_parquet()


def test_new_changed_touched_vanished(tmp_path):
    for seed, name in enumerate(("changed", "touched", "vanished", "same")):
        put(tmp_path / f"{name}_raman.xy", spectrum(seed))
    first = plan(tmp_path)
    put(tmp_path / "changed_raman.xy", spectrum(50))
    touch(tmp_path / "touched_raman.xy")
    (tmp_path / "vanished_raman.xy").unlink()
    put(tmp_path / "new_raman.xy", spectrum(51))
    second = plan(tmp_path, previous=first)
    assert outcomes(second) == {"changed_raman.xy": "OK", "new_raman.xy": "OK"}
    assert second.replaced == (str(tmp_path / "changed_raman.xy"),)
    assert second.vanished == (str(tmp_path / "vanished_raman.xy"),)
    assert (second.counts.new, second.counts.changed, second.counts.unchanged) == (1, 1, 2)
    third = plan(tmp_path, previous=second)
    assert third.rows == {}
    assert third.vanished == ()
    put(tmp_path / "vanished_raman.xy", spectrum(2))
    assert plan(tmp_path, previous=third).rows == {}, "a file that comes back as it was is known"


def test_what_other_sources_lead_to_has_not_vanished(tmp_path):
    for seed, name in enumerate(("a/1", "a/2", "b/1", "b/2", "b/deep/3")):
        put(tmp_path / f"{name}_raman.xy", spectrum(seed))
    first = plan(tmp_path / "a")
    second = plan(tmp_path / "b", previous=first)
    assert second.vanished == ()
    (tmp_path / "a" / "1_raman.xy").unlink()
    (tmp_path / "b" / "2_raman.xy").unlink()
    assert plan(tmp_path / "b", previous=second).vanished == (str(tmp_path / "b" / "2_raman.xy"),)
    assert plan(str(tmp_path / "*" / "1*"), previous=second).vanished == (str(tmp_path / "a" / "1_raman.xy"),)
    third = plan(tmp_path / "a", previous=second)
    assert third.vanished == (str(tmp_path / "a" / "1_raman.xy"),)
    assert plan(tmp_path, previous=third).vanished == (str(tmp_path / "b" / "2_raman.xy"),)


def test_first_of_equal_contents_wins(tmp_path):
    put(tmp_path / "b_raman.txt", rruff(1, "Amethyst", "R000002"))
    put(tmp_path / "a_raman.txt", rruff(1, "Quartz"))
    put(tmp_path / "c_raman.txt", rruff(2))
    found = plan(tmp_path)
    assert outcomes(found) == {"a_raman.txt": "OK", "b_raman.txt": "DUPLICATE", "c_raman.txt": "OK"}
    duplicate = [row for row in found.rows["raman"].to_pylist() if row["status"] == "DUPLICATE"]
    assert [row["duplicate_of"] for row in duplicate] == [str(tmp_path / "a_raman.txt")]


def test_same_numbers_of_another_modality_are_another_spectrum(tmp_path):
    put(tmp_path / "a_raman.txt", rruff(1))
    put(tmp_path / "a_xrd.txt", rruff(1))
    assert set(outcomes(plan(tmp_path)).values()) == {"OK"}


def test_what_the_archive_holds_wins_over_an_earlier_name(tmp_path):
    put(tmp_path / "m_raman.xy", spectrum(1))
    first = plan(tmp_path)
    put(tmp_path / "a_raman.xy", spectrum(1))
    second = plan(tmp_path, previous=first)
    assert outcomes(second) == {"a_raman.xy": "DUPLICATE"}
    (tmp_path / "m_raman.xy").unlink()
    third = plan(tmp_path, previous=second)
    assert third.rows == {}, "its record stays, so the other name still adds nothing"


def test_a_duplicate_is_promoted_when_the_original_changes(tmp_path):
    put(tmp_path / "a_raman.xy", spectrum(1))
    put(tmp_path / "b_raman.xy", spectrum(1))
    put(tmp_path / "c_raman.xy", spectrum(1))
    first = plan(tmp_path)
    put(tmp_path / "a_raman.xy", spectrum(9))
    second = plan(tmp_path, previous=first)
    assert outcomes(second) == {"a_raman.xy": "OK", "b_raman.xy": "OK"}
    assert second.replaced == (str(tmp_path / "a_raman.xy"), str(tmp_path / "b_raman.xy"))
    codes = dict(
        zip(second.catalogue.table["name"].to_pylist(), second.catalogue.table["code"].to_pylist(), strict=True)
    )
    assert codes["c_raman.xy"] == "DUPLICATE"


def test_a_file_that_stops_being_a_spectrum_is_not_lost(tmp_path):
    path = put(tmp_path / "a_raman.txt", rruff(1))
    first = plan(tmp_path)
    put(path, "the disk was full")
    second = plan(tmp_path, previous=first)
    assert outcomes(second) == {"a_raman.txt": "NOT_A_SPECTRUM"}
    assert second.replaced == (str(path),)


def test_asked_for_again(tmp_path):
    put(tmp_path / "a_raman.xy", spectrum(1))
    put(tmp_path / "b_raman.xy", spectrum(1))
    first = plan(tmp_path)
    second = plan(tmp_path, previous=first, again=[str(tmp_path / "a_raman.xy")])
    assert outcomes(second) == {"a_raman.xy": "OK"}
    assert second.replaced == (str(tmp_path / "a_raman.xy"),)


def test_plan_does_not_depend_on_order_of_arguments_or_on_repeats(tmp_path):
    rng = random.Random(1)
    for seed in range(30):
        put(tmp_path / f"d{seed % 4}" / f"{seed}_raman.xy", spectrum(seed % 20))
    whole = plan(tmp_path)
    parts = [tmp_path / f"d{i}" for i in range(4)]
    for _ in range(3):
        rng.shuffle(parts)
        found = plan(*parts, tmp_path / "d1", *sorted(parts[0].glob("*"))[:2])
        drop = whole.rows["raman"].drop(["name"])
        assert found.rows["raman"].drop(["name"]).equals(drop)


def test_globs(tmp_path):
    put(tmp_path / "2024" / "a_raman.xy", spectrum(1))
    put(tmp_path / "2024" / "deep" / "b_raman.xy", spectrum(2))
    put(tmp_path / "2025" / "c_raman.xy", spectrum(3))
    assert set(outcomes(plan(f"{tmp_path}/2024/*.xy"))) == {"a_raman.xy"}
    assert set(outcomes(plan(f"{tmp_path}/202?/**/*.xy"))) == {"a_raman.xy", "b_raman.xy", "c_raman.xy"}
    assert set(outcomes(plan(f"{tmp_path}/*4"))) == {"a_raman.xy", "b_raman.xy"}
    assert set(outcomes(plan(f"{tmp_path}/2024/[!b]*"))) == {"a_raman.xy", "b_raman.xy"}, "a folder that matches counts"


def test_many_records_in_one_file(tmp_path):
    rows = "\n".join(f"{100 + i}\t{i}\t{2 * i}\t{i % 3}" for i in range(20))
    put(tmp_path / "map_raman.tsv", "shift\ta\tb\tc\n" + rows)
    found = plan(tmp_path)
    assert outcomes(found) == {f"map_raman.tsv#{i}": "OK" for i in range(3)}
    row = found.rows["raman"].to_pylist()[2]
    with SourceReader() as reader:
        raws = reader.records(row["source"], row["name"], digest=row["digest"], format_name=row["format"])
    assert len(raws) == row["records"] == 3
    assert row["record"] == 2


def test_what_changes_between_plan_and_read_is_an_error_of_that_source(tmp_path):
    path = put(tmp_path / "a_raman.xy", spectrum(1))
    (row,) = plan(tmp_path).rows["raman"].to_pylist()
    put(path, spectrum(2))
    with SourceReader() as reader:
        with pytest.raises(RecordError) as changed:
            reader.records(row["source"], row["name"], digest=row["digest"], format_name=row["format"])
        path.unlink()
        with pytest.raises(RecordError) as missing:
            reader.records(row["source"], row["name"], digest=row["digest"], format_name=row["format"])
    assert changed.value.code == "SOURCE_CHANGED"
    assert missing.value.code == "SOURCE_MISSING"
    assert changed.value.where == missing.value.where == str(path)


def test_oversized_files_have_rows(tmp_path):
    put(tmp_path / "big_raman.xy", spectrum(1, 400))
    put(tmp_path / "ok_raman.xy", spectrum(2))
    found = plan(tmp_path, max_file_bytes=500)
    assert outcomes(found) == {"big_raman.xy": "TOO_LARGE", "ok_raman.xy": "OK"}


@pytest.mark.real
def test_the_rruff_pack(real_data):
    """2,356 spectra and nothing else: 29 repeat another one; structures are no spectra."""
    folder = real_data / "rruff"
    found = plan(folder, manifest=folder / "manifest.csv", columns={"sample_id": "rruff_id", "label": "group"})
    counts = {name: Counter(table["status"].to_pylist()) for name, table in found.rows.items()}
    assert {name: sum(each.values()) for name, each in counts.items()} == {"raman": 1382, "ir": 736, "xrd": 238}
    assert sum(each["DUPLICATE"] for each in counts.values()) == 29
    assert sum(each["OK"] for each in counts.values()) == 2356 - 29
    assert found.unclaimed == {".cif": 236}
    assert found.warnings == ()
    assert plan(folder, previous=found, manifest=folder / "manifest.csv",
                columns={"sample_id": "rruff_id", "label": "group"}).total == 0  # fmt: skip


@pytest.mark.parametrize("start", [0, 1, 7, 20])
def test_one_walk_gives_both_digests(start):
    data = bytes(range(40))
    digest, content = digests_of(data, start)
    assert content == digest_of(data[start:])
    assert has_digest(data, digest)
    for place in range(40):
        changed = data[:place] + b"\xff" + data[place + 1 :]
        assert not has_digest(changed, digest)
        assert (digests_of(changed, start)[1] == content) == (place < start)
    assert not has_digest(data[:-1], digest)
