"""Whether workers ask for a graphics processor."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spectroflow.engine.preflight import Node, capacity, settled
from spectroflow.engine.processor import Resources

NODES = st.lists(
    st.builds(
        Node,
        name=st.text(max_size=3),
        cpus=st.integers(0, 32).map(float),
        gpus=st.integers(0, 4).map(float),
        memory_bytes=st.integers(1, 64).map(lambda gib: float(gib << 30)),
    ),
    max_size=5,
)
NEEDS = st.builds(
    Resources,
    cpus=st.sampled_from([1.0, 2.0]),
    gpus=st.sampled_from([0.25, 0.5, 1.0]),
    memory_bytes=st.sampled_from([0, 1 << 30, 4 << 30]),
    gpu_gain=st.floats(1.0, 50.0),
)


@given(NODES, NEEDS, st.integers(1, 200))
def test_the_kind_of_worker_is_chosen_that_does_more(nodes: list[Node], needs: Resources, most: int) -> None:
    chosen = settled(needs, nodes, most)
    other = replace(needs, gpus=0.0 if chosen.gpus else needs.gpus)

    def done(kind: Resources) -> float:
        return min(most, capacity(kind, nodes)) * (needs.gpu_gain if kind.gpus else 1.0)

    assert done(chosen) >= done(other)
    assert replace(chosen, gpus=needs.gpus) == needs


def test_one_graphics_processor_does_not_idle_many_cores() -> None:
    machine = [Node("one", 16.0, 1.0, 64 << 30)]
    needs = Resources(gpus=1.0, gpu_gain=2.2)
    assert settled(needs, machine, most=10).gpus == 0
    assert settled(needs, machine, most=2).gpus == 1
    assert settled(replace(needs, gpus=0.125), machine, most=10).gpus == 0.125


@given(NODES)
def test_what_cannot_work_without_one_keeps_asking(nodes: list[Node]) -> None:
    needs = Resources(gpus=1.0)
    assert settled(needs, nodes, most=8) == needs
