"""Running on a cluster: submission as a Ray Job, named clusters, and checks before a night depends on it.

Where to start reading: :func:`submit` is what ``--cluster`` does.
"""

from spectroflow.cluster.addresses import Cluster, named_clusters, resolve
from spectroflow.cluster.answer import Answer
from spectroflow.cluster.doctor import examine
from spectroflow.cluster.manage import list_jobs, show_log, stop_job
from spectroflow.cluster.submission import Argument, submit

__all__ = [
    "Answer",
    "Argument",
    "Cluster",
    "examine",
    "list_jobs",
    "named_clusters",
    "resolve",
    "show_log",
    "stop_job",
    "submit",
]
