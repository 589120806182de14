"""Identify, then simulate: known crystal structures as what a model did not learn.

Where to start reading: ``structures.py`` (what a library is), ``ranking.py`` (which structure a spectrum
belongs to, by what ``agreement.py`` and ``diffraction.py`` say), ``identify.py`` (what is generated from
that), ``phases.py`` (mixtures), ``evaluation.py`` (how well all of it does on materials never seen).
"""

from spectroflow.models.library.evaluation import evaluate_library
from spectroflow.models.library.identify import Identified, LibraryGenerator
from spectroflow.models.library.phases import PhaseFinder, Phases
from spectroflow.models.library.ranking import Ranker
from spectroflow.models.library.structures import StructureLibrary

__all__ = [
    "Identified",
    "LibraryGenerator",
    "PhaseFinder",
    "Phases",
    "Ranker",
    "StructureLibrary",
    "evaluate_library",
]
