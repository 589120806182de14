from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectroflow.errors import InvalidInput, SpectroFlowError, Unreachable, UsageError
from spectroflow.storage import AlreadyExists, Location
from spectroflow.storage.remote import ATTEMPTS, is_transient, retrying
from tests.s3 import s3_server


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server("locations") as url:
        yield url


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, bucket: str) -> Location:
    if request.param == "local":
        return Location.parse(tmp_path)
    if request.param == "memory":
        return Location.parse(f"memory://{tmp_path.name}")
    return Location.parse(f"{bucket}/{tmp_path.name}")


def test_what_is_written_is_read_back_whole_and_in_parts(root: Location) -> None:
    data = bytes(range(256)) * 40
    (root / "a/b").write_bytes(data, durable=True)
    assert (root / "a/b").read_bytes() == data
    assert (root / "a/b").read_bytes(10, 300) == data[10:300]
    assert (root / "a/b").read_bytes(100) == data[100:]
    assert (root / "a/b").read_bytes(-16) == data[-16:]
    assert (root / "a/b").info().size == len(data)


def test_a_missing_object_is_not_found(root: Location) -> None:
    with pytest.raises(FileNotFoundError):
        (root / "nothing").read_bytes()
    assert not (root / "nothing").exists()
    assert (root / "nothing").list() == []
    with pytest.raises(InvalidInput, match="no such file or folder"):
        list((root / "nothing").walk())


def test_an_object_is_told_from_a_folder(root: Location) -> None:
    (root / "a/b").write_bytes(b"data")
    assert (root / "a/b").is_object()
    assert not (root / "a/c").is_object()
    assert not (root / "a").is_object() or root.is_memory
    assert (root / "a").is_folder()


def test_an_exclusive_create_succeeds_once(root: Location) -> None:
    target = root / "versions/000001.json"
    target.create_exclusive(b"first")
    with pytest.raises(AlreadyExists):
        target.create_exclusive(b"second")
    assert target.read_bytes() == b"first"


def test_listing_sees_what_another_writer_just_wrote(root: Location) -> None:
    (root / "done/1.json").write_bytes(b"1")
    assert (root / "done").list() == ["1.json"]
    (root / "done/2.json").write_bytes(b"2")
    assert (root / "done").list() == ["1.json", "2.json"]
    assert [info.path for info in (root / "done").walk()] == ["1.json", "2.json"]


def test_delete_tree_leaves_nothing(root: Location) -> None:
    for key in ("x/1", "x/y/2"):
        (root / key).write_bytes(b"data")
    (root / "x").delete_tree()
    (root / "x").delete_tree()
    assert not (root / "x").exists()


def test_a_kill_during_a_write_leaves_the_old_content(tmp_path: Path) -> None:
    target = Location.parse(tmp_path / "object")
    target.write_bytes(b"old")

    class Failing(bytes):
        pass

    with pytest.raises(TypeError):
        target.write_bytes(memoryview("text"))  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["object"]


def test_a_folder_that_a_collection_deletes_while_it_is_empty_is_made_again(tmp_path: Path) -> None:
    root, done = Location.parse(tmp_path / "runs"), threading.Event()

    def collect() -> None:
        while not done.is_set():
            root.delete_empty_folders()

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for number in range(150):
            (root / f"{number}/done/unit.json").create_exclusive(b"{}")
    finally:
        done.set()
        collector.join()
    assert len(list(root.walk())) == 150


def _try_to_create(
    path: str, who: int, barrier: multiprocessing.synchronize.Barrier, wins: multiprocessing.Queue
) -> None:  # type: ignore[type-arg]
    barrier.wait()
    for number in range(50):
        try:
            (Location.parse(path) / f"{number:06d}.json").create_exclusive(f"{who}".encode())
            wins.put((number, who))
        except AlreadyExists:
            pass
    wins.put(None)


def test_of_four_racing_processes_exactly_one_creates(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_try_to_create, args=(str(tmp_path), who, barrier, wins)) for who in range(4)]
    for process in processes:
        process.start()
    won: dict[int, int] = {}
    ended = 0
    while ended < 4:
        item = wins.get(timeout=60)
        if item is None:
            ended += 1
            continue
        assert item[0] not in won
        won[item[0]] = item[1]
    for process in processes:
        process.join()
    assert sorted(won) == list(range(50))
    assert all((tmp_path / f"{n:06d}.json").read_text() == str(who) for n, who in won.items())
    assert not list(tmp_path.glob("*.partial"))


def test_urls_and_paths_are_told_apart() -> None:
    assert Location.parse("s3://bucket/a/b/").url == "s3://bucket/a/b"
    assert Location.parse("file:///a/b") == Location.parse("/a/b")
    assert str(Location.parse("/a/b") / "c") == "/a/b/c"
    assert Location.parse("memory://x/y").parent == Location.parse("memory://x")
    with pytest.raises(UsageError, match="credentials"):
        Location.parse("s3://key:secret@bucket/a")
    with pytest.raises(UsageError, match="climbs out"):
        Location.parse("/a") / "../b"
    with pytest.raises(UsageError, match="empty"):
        Location.parse(" ")


@given(st.sampled_from(["/a/b", "s3://bucket/key", "memory://m/n"]))
def test_a_location_survives_pickling(text: str) -> None:
    assert pickle.loads(pickle.dumps(Location.parse(text))) == Location.parse(text)


def test_transient_errors_are_told_from_final_ones() -> None:
    assert is_transient(TimeoutError())
    assert is_transient(ConnectionResetError())
    assert not is_transient(ValueError("503"))
    assert not is_transient(OSError("no space left on device"))


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (503, "SlowDown", True),
        (503, "503", True),
        (429, "TooManyRequests", True),
        (500, "InternalError", True),
        (409, "ConditionalRequestConflict", True),
        (400, "RequestTimeout", True),
        (412, "PreconditionFailed", False),
        (400, "InvalidArgument", False),
    ],
)
def test_what_the_service_said_decides_whatever_it_was_turned_into(status: int, code: str, transient: bool) -> None:
    error, translated = _answered(status, code)
    assert is_transient(error) == is_transient(translated) == transient


def _answered(status: int, code: str) -> tuple[Exception, Exception]:
    """Return what botocore raises for an answer of S3, and what s3fs makes of it."""
    from botocore.exceptions import ClientError
    from s3fs.errors import translate_boto_error

    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = ClientError(answer, "PutObject")  # type: ignore[arg-type]
    return error, translate_boto_error(error)


@pytest.mark.parametrize(
    ("code", "exit_code", "message"), [("AccessDenied", 3, "access is denied"), ("RequestTimeTooSkewed", 6, "clock")]
)
def test_what_is_refused_for_good_is_asked_once_and_explained(code: str, exit_code: int, message: str) -> None:
    asked = []

    def refused() -> None:
        asked.append(code)
        raise _answered(403, code)[1]

    with pytest.raises(SpectroFlowError, match=message) as caught:
        retrying(refused, where="s3://bucket/key")
    assert caught.value.exit_code == exit_code
    assert len(asked) == 1


def test_a_request_is_repeated_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTROFLOW_RETRY_SCALE", "0")
    asked = []

    def busy() -> str:
        asked.append(1)
        if len(asked) < successful:
            raise _answered(503, "SlowDown")[1]
        return "done"

    successful = ATTEMPTS
    assert retrying(busy, where="s3://bucket/key") == "done"
    asked.clear()
    successful = ATTEMPTS + 1
    with pytest.raises(Unreachable, match=f"after {ATTEMPTS} attempts"):
        retrying(busy, where="s3://bucket/key")
    assert len(asked) == ATTEMPTS
