"""``spectroflow doctor``."""

from __future__ import annotations

from spectroflow_cli import options
from spectroflow_cli.command import query
from spectroflow_cli.output import Result


@query
def doctor(storage: options.Storage = None, cluster: options.OnCluster = None, nodes: options.Nodes = False) -> Result:
    """Check this machine, a storage and a cluster before a night depends on them."""
    from spectroflow.cluster import examine

    return examine(storage or [], cluster=cluster, nodes=nodes)
