"""Sources: finding files wherever they are, and knowing which of them are new.

:func:`plan_sources` compares folders, buckets and archives of files with the catalogue of the last run
and returns the rows that a conversion has to do; :class:`SourceReader` reads them again when it does.
"""

from spectroflow.sources.catalogue import CONTAINER, UNCLAIMED, UNKNOWN, Catalogue
from spectroflow.sources.manifest import Entry, Manifest, apply_entry, read_manifest
from spectroflow.sources.objects import SourceObject
from spectroflow.sources.plan import PlanCounts, SourcePlan, plan_sources
from spectroflow.sources.reading import SourceReader, digest_of, read_source
from spectroflow.sources.resolve import ROW_SCHEMA
from spectroflow.sources.walk import walk

__all__ = [
    "CONTAINER",
    "ROW_SCHEMA",
    "UNCLAIMED",
    "UNKNOWN",
    "Catalogue",
    "Entry",
    "Manifest",
    "PlanCounts",
    "SourceObject",
    "SourcePlan",
    "SourceReader",
    "apply_entry",
    "digest_of",
    "plan_sources",
    "read_manifest",
    "read_source",
    "walk",
]
