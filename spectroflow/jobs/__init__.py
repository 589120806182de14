"""The jobs: glue between the rooms, one file each; ``commands`` offers all of them by name."""

from spectroflow.jobs.options import JobOptions
from spectroflow.jobs.summary import Rows, Summary

__all__ = ["JobOptions", "Rows", "Summary"]
