"""The manifest: what it says, and what is wrong with it."""

from __future__ import annotations

import pytest
from sources_kit import modality_of, outcomes, plan, put, rruff, spectrum

from spectroflow.errors import InvalidInput
from spectroflow.formats import RawRecord
from spectroflow.sources import Entry, apply_entry, read_manifest


def test_paths_are_relative_to_the_manifest_and_line_ends_do_not_matter(tmp_path):
    put(tmp_path / "data" / "a.xy", spectrum(1))
    put(tmp_path / "data" / "b.xy", spectrum(2))
    text = 'path,sample_id,label,modality,formula,laser\r\ndata/a.xy,S1,"Quartz, low",XRD,SiO2,\r\n'
    text += "data\\b.xy,S2,,raman,,532\r\n"
    manifest = put(tmp_path / "list.csv", text)
    found = plan(tmp_path, manifest=manifest)
    assert outcomes(found) == {"a.xy": "OK", "b.xy": "OK"}
    assert modality_of(found) == {"a.xy": "xrd", "b.xy": "raman"}
    entry = Entry.from_json(found.rows["xrd"].to_pylist()[0]["said"])
    assert entry == Entry("S1", "Quartz, low", "XRD", "SiO2", {})
    assert found.unclaimed == {}


def test_other_column_names(tmp_path):
    put(tmp_path / "a.xy", spectrum(1))
    manifest = put(tmp_path / "m.csv", "rruff_id;group;path;modality;kind\nR1;Quartz;a.xy;xrd;raw\n")
    said = read_manifest(str(manifest), {"sample_id": "rruff_id", "label": "group"})
    assert said.entries[str(tmp_path / "a.xy")] == Entry("R1", "Quartz", "xrd", None, {"kind": "raw"})


def test_the_manifest_wins_over_the_file(tmp_path):
    put(tmp_path / "a_raman.txt", rruff(1, "Quartz", "R1"))
    found = plan(tmp_path, manifest=put(tmp_path / "m.csv", "path,label,modality\na_raman.txt,SiO2 group,ir\n"))
    assert modality_of(found) == {"a_raman.txt": "ir"}
    raw = apply_entry(
        RawRecord([], [], label="Quartz", sample_id="R1", metadata={"n": 1}),
        Entry(label="SiO2 group", metadata={"laser": "532", "kind": "raw"}),
    )
    assert (raw.label, raw.sample_id) == ("SiO2 group", "R1")
    assert raw.metadata == {"n": 1, "laser": 532.0, "kind": "raw"}


def test_a_later_manifest_changes_only_what_it_names(tmp_path):
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.xy", spectrum(ord(name)))
    manifest = tmp_path / "m.csv"
    put(manifest, "path,modality\na.xy,xrd\nb.xy,xrd\n")
    first = plan(tmp_path, manifest=manifest)
    assert outcomes(first) == {"a.xy": "OK", "b.xy": "OK", "c.xy": "UNKNOWN_MODALITY"}
    put(manifest, "path,modality\nb.xy,raman\nc.xy,raman\n")
    second = plan(tmp_path, manifest=manifest, previous=first)
    assert modality_of(second) == {"b.xy": "raman", "c.xy": "raman"}
    assert second.replaced == (str(tmp_path / "b.xy"), str(tmp_path / "c.xy"))
    put(tmp_path / "a.xy", spectrum(99))
    third = plan(tmp_path, previous=second, exclude=[])
    assert modality_of(third) == {"a.xy": "xrd"}, "what an earlier manifest said still holds"


def test_named_but_not_there(tmp_path):
    put(tmp_path / "in" / "a.xy", spectrum(1))
    manifest = put(tmp_path / "m.csv", "path,modality\nin/a.xy,xrd\nin/gone.xy,xrd\nelsewhere/x.xy,xrd\n")
    first = plan(tmp_path / "in", manifest=manifest)
    assert outcomes(first) == {"a.xy": "OK", "gone.xy": "SOURCE_MISSING"}
    assert "gone.xy" in first.warnings[0]
    assert plan(tmp_path / "in", manifest=manifest, previous=first).rows == {}
    put(tmp_path / "in" / "gone.xy", spectrum(2))
    second = plan(tmp_path / "in", manifest=manifest, previous=first)
    assert outcomes(second) == {"gone.xy": "OK"}


def test_a_column_that_is_probably_misspelt_is_named(tmp_path):
    put(tmp_path / "a_raman.xy", spectrum(1))
    manifest = put(tmp_path / "m.csv", "path,modalty,laser\na_raman.xy,raman,532\n")
    found = plan(tmp_path, manifest=manifest)
    assert found.warnings == ("The manifest has a column 'modalty'. Did you mean 'modality'? It is kept as metadata.",)


def test_unknown_modality_in_a_manifest_says_which_are_known(tmp_path):
    put(tmp_path / "a.xy", spectrum(1))
    found = plan(tmp_path, manifest=put(tmp_path / "m.csv", "path,modality\na.xy,uvvis\n"))
    (row,) = found.rows["unknown"].to_pylist()
    assert row["status"] == "UNKNOWN_MODALITY"
    assert "'uvvis'" in row["reason"]
    assert "raman" in row["remedy"]


def test_listed_twice(tmp_path):
    put(tmp_path / "a.xy", spectrum(1))
    same = plan(tmp_path, manifest=put(tmp_path / "m.csv", "path,modality\na.xy,xrd\n./a.xy,xrd\n"))
    assert outcomes(same) == {"a.xy": "OK"}
    assert "more than once" in same.warnings[0]
    with pytest.raises(InvalidInput, match="lines 2 and 3 say different things"):
        plan(tmp_path, manifest=put(tmp_path / "m.csv", "path,modality\na.xy,xrd\na.xy,raman\n"))


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("", {}, "the manifest is empty"),
        ("file,modality\na.xy,xrd\n", {}, "no column 'path'"),
        ("path,modality\n,xrd\n", {}, "line 2 has no path"),
        ("path,sampleid\na.xy,1\n", {"sample_id": "sample-id"}, "no column 'sample-id'.*Did you mean 'sampleid'"),
        ("path\na.xy\n", {"sampel_id": "x"}, "'sampel_id', which is no column of ours.*Did you mean 'sample_id'"),
    ],
)
def test_wrong_manifests(tmp_path, text, columns, message):
    path = put(tmp_path / "m.csv", text)
    with pytest.raises(InvalidInput, match=message):
        read_manifest(str(path), columns)


def test_no_such_manifest(tmp_path):
    with pytest.raises(InvalidInput, match="no such manifest"):
        read_manifest(str(tmp_path / "none.csv"))
