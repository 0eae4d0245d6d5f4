"""Concepts of a multimodal LLM, what fine-tuning did to them, and steering with what was found.

Names are imported when first used: ``import shiftlens`` loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Where each public name lives. A name is here when it works, not before.
_HOMES = {
    "ActivationStore": "shiftlens.activations.store",
    "ConceptShift": "shiftlens.shift.concept_shift",
    "Concepts": "shiftlens.concepts.concepts",
    "DriftCallback": "shiftlens.shift.callback",
    "KMeans": "shiftlens.concepts.learners.kmeans",
    "MiniBatchKMeans": "shiftlens.concepts.learners.minibatch_kmeans",
    "PCA": "shiftlens.concepts.learners.pca",
    "SemiNMF": "shiftlens.concepts.learners.semi_nmf",
    "ShiftLensError": "shiftlens.core.errors",
    "Site": "shiftlens.activations.site",
    "SparseCoding": "shiftlens.concepts.learners.sparse_coding",
    "Steering": "shiftlens.steering.keeping.steering",
    "SteeringVector": "shiftlens.concepts.vectors",
    "Trajectory": "shiftlens.shift.curves",
    "choose_k": "shiftlens.concepts.choosing",
    "compare": "shiftlens.shift.comparing",
    "compare_datasets": "shiftlens.shift.datasets",
    "diff": "shiftlens.study.diff.running",
    "discover": "shiftlens.steering.discovering",
    "evaluate": "shiftlens.steering.evaluating.evaluate",
    "explain": "shiftlens.concepts.grounding.explaining.explain",
    "export": "shiftlens.steering.exporting.export",
    "ground": "shiftlens.concepts.grounding.ground",
    "harvest": "shiftlens.activations.harvesting",
    "harvest_pair": "shiftlens.activations.in_turn",
    "import_features": "shiftlens.activations.importing.importing",
    "learn": "shiftlens.concepts.learning",
    "load_model": "shiftlens.models.loading",
    "load_pair": "shiftlens.models.loading",
    "load_variants": "shiftlens.models.variants",
    "quality": "shiftlens.concepts.quality.measuring",
    "read": "shiftlens.data.reading",
    "read_sae": "shiftlens.concepts.sae.reading",
    "record": "shiftlens.models.hooks",
    "report": "shiftlens.reporting.single",
    "search": "shiftlens.steering.searching.search",
    "steer": "shiftlens.steering.applying",
    "suggest": "shiftlens.study.suggesting",
    "tokens": "shiftlens.activations.tokens",
    "train_placebos": "shiftlens.models.placebos",
    "trajectory": "shiftlens.shift.trajectory",
}

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from shiftlens.activations import tokens as tokens
    from shiftlens.activations.harvesting import harvest as harvest
    from shiftlens.activations.importing.importing import import_features as import_features
    from shiftlens.activations.in_turn import harvest_pair as harvest_pair
    from shiftlens.activations.site import Site as Site
    from shiftlens.activations.store import ActivationStore as ActivationStore
    from shiftlens.concepts.choosing import choose_k as choose_k
    from shiftlens.concepts.concepts import Concepts as Concepts
    from shiftlens.concepts.grounding.explaining.explain import explain as explain
    from shiftlens.concepts.grounding.ground import ground as ground
    from shiftlens.concepts.learners.kmeans import KMeans as KMeans
    from shiftlens.concepts.learners.minibatch_kmeans import MiniBatchKMeans as MiniBatchKMeans
    from shiftlens.concepts.learners.pca import PCA as PCA
    from shiftlens.concepts.learners.semi_nmf import SemiNMF as SemiNMF
    from shiftlens.concepts.learners.sparse_coding import SparseCoding as SparseCoding
    from shiftlens.concepts.learning import learn as learn
    from shiftlens.concepts.quality.measuring import quality as quality
    from shiftlens.concepts.sae.reading import read_sae as read_sae
    from shiftlens.concepts.vectors import SteeringVector as SteeringVector
    from shiftlens.core.errors import ShiftLensError as ShiftLensError
    from shiftlens.data.reading import read as read
    from shiftlens.models.hooks import record as record
    from shiftlens.models.loading import load_model as load_model
    from shiftlens.models.loading import load_pair as load_pair
    from shiftlens.models.placebos import train_placebos as train_placebos
    from shiftlens.models.variants import load_variants as load_variants
    from shiftlens.reporting.single import report as report
    from shiftlens.shift.callback import DriftCallback as DriftCallback
    from shiftlens.shift.comparing import compare as compare
    from shiftlens.shift.concept_shift import ConceptShift as ConceptShift
    from shiftlens.shift.curves import Trajectory as Trajectory
    from shiftlens.shift.datasets import compare_datasets as compare_datasets
    from shiftlens.shift.trajectory import trajectory as trajectory
    from shiftlens.steering.applying import steer as steer
    from shiftlens.steering.discovering import discover as discover
    from shiftlens.steering.evaluating.evaluate import evaluate as evaluate
    from shiftlens.steering.exporting.export import export as export
    from shiftlens.steering.keeping.steering import Steering as Steering
    from shiftlens.steering.searching.search import search as search
    from shiftlens.study.diff.running import diff as diff
    from shiftlens.study.suggesting import suggest as suggest


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'shiftlens' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if name == "tokens" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
