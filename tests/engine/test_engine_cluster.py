"""A cluster that grows and loses a whole node in the middle of a run."""

from __future__ import annotations

import logging
import os

import pytest
from engine_work import Numbers, content, expected_rows

from spectroflow.engine import ExecuteOptions, Resources, execute
from spectroflow.storage import Location

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(280)]

ray = pytest.importorskip("ray")


@pytest.fixture
def cluster(monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]))
    memory = {"object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, namespace="spectroflow")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_node_joins_and_dies_and_nothing_changes(cluster, tmp_path):
    quiet, root = Location.parse(tmp_path / "quiet"), Location.parse(tmp_path / "root")
    numbers = Numbers(400, slow=0.4)
    plan, prepare = numbers.plan(), numbers.prepare
    still = Numbers(400)
    execute(plan, still, quiet, options=ExecuteOptions(workers=0), prepare=prepare(quiet))
    heard = []
    joined: list[object] = []
    killed: list[object] = []

    def disturb(event):
        heard.append(event)
        done = sum(e.name() == "unit_done" for e in heard)
        if done == 3 and not joined:
            joined.append(cluster.add_node(num_cpus=1, object_store_memory=80 << 20))
        workers = [e for e in heard if e.name() == "worker_started"]
        after = sum(e.name() == "unit_done" and e.time > workers[-1].time for e in heard) if workers else 0
        if len(workers) == 2 and after >= 4 and not killed:
            killed.append(joined[0])
            cluster.remove_node(joined[0], allow_graceful=False)

    options = ExecuteOptions(backend="ray", workers=None)
    result = execute(plan, numbers, root, options=options, prepare=prepare(root), listener=disturb)
    assert killed
    assert len({e.node for e in heard if e.name() == "worker_started"}) == 2
    assert [e.reason for e in heard if e.name() == "worker_lost"] == ["node"]
    assert {e.reason for e in heard if e.name() == "unit_retried"} == {"node"}
    assert max(e.workers for e in heard if e.name() == "progress") == 2
    assert result.rows == expected_rows(400)
    assert content(root) == content(quiet)


def test_a_range_of_workers_waits_for_its_lower_end_and_grows_to_what_there_is(cluster, tmp_path):
    root, heard = Location.parse(tmp_path), []

    def listen(event):
        heard.append(event)
        if event.name() == "worker_started" and len(cluster.worker_nodes) == 0:
            cluster.add_node(num_cpus=2, object_store_memory=80 << 20)

    numbers = Numbers(200, slow=0.3)
    options = ExecuteOptions(backend="ray", workers=64, least_workers=2)
    result = execute(numbers.plan(), numbers, root, options=options, prepare=numbers.prepare(root), listener=listen)
    names = [event.name() for event in heard]
    assert names[: names.index("unit_started")].count("worker_started") >= 2
    assert names.count("worker_started") == 3
    assert "worker_lost" not in names
    assert result.rows == expected_rows(200)


def test_workers_that_share_a_graphics_processor_are_where_it_is(cluster, tmp_path):
    # The processor is Ray's word for it alone; nothing here computes on one.
    node = cluster.add_node(num_cpus=4, num_gpus=1, object_store_memory=80 << 20)
    root, heard = Location.parse(tmp_path), []
    numbers = Numbers(200, slow=0.2, resources=Resources(gpus=0.5))
    options = ExecuteOptions(backend="ray", workers=None, least_workers=2)
    prepare, plan = numbers.prepare(root), numbers.plan()
    result = execute(plan, numbers, root, options=options, prepare=prepare, listener=heard.append)
    started = [event for event in heard if event.name() == "worker_started"]
    assert [event.node for event in started] == [node.node_id[:8]] * 2
    assert result.rows == expected_rows(200)
