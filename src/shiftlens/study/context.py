"""What all stages of a run share: the experiment, its directory, its samples and its models.

Samples and models are made when first asked for: a run whose stages are all cached loads no model.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shiftlens.core.errors import DataError, MismatchError, StoreError
from shiftlens.core.manifest import digest, sha256_file
from shiftlens.core.progress import Progress
from shiftlens.data.privacy import hide, path_of
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.data.sources import is_provided, provided_model, provided_samples
from shiftlens.study.cache import StageCache
from shiftlens.study.experiment import Experiment, TunedSpec

if TYPE_CHECKING:
    from shiftlens.activations.site import Site
    from shiftlens.activations.store import ActivationStore
    from shiftlens.models.model import Model

_log = logging.getLogger(__name__)

_WHOLE_FILE = 32 * 2**20  # files up to 32 MB are hashed whole, larger ones by size and time


@dataclass
class Context:
    """One run of one experiment in one directory."""

    experiment: Experiment
    root: Path
    cache: StageCache
    progress: Progress
    fine_tune: str = ""
    """Which of several fine-tunes this is about; empty where there is a single one."""
    _samples: dict[str, Samples] = field(default_factory=dict[str, Samples])

    def of(self, fine_tune: TunedSpec) -> "Context":
        """The same run for one of several fine-tunes: samples shared, models and stages its own."""
        experiment = self.experiment.of(fine_tune)
        shared = (self.root, self.cache, self.progress)
        return Context(experiment, *shared, fine_tune=fine_tune.name, _samples=self._samples)

    def stage(self, kind: str, name: str = "") -> str:
        """Name of a stage: ``harvest-dog``, or ``harvest-places.dog`` among several fine-tunes."""
        part = ".".join(one for one in (self.fine_tune, name) if one)
        return f"{kind}-{part}" if part else kind

    def folder(self, *parts: str) -> Path:
        """A directory of the run: ``words/dog``, or ``words/places/dog`` among several."""
        first, *rest = parts
        return self.root.joinpath(first, *([self.fine_tune] if self.fine_tune else []), *rest)

    def samples(self, name: str) -> Samples:
        """The samples of a data set of the experiment; provided ones are written on first use."""
        if name not in self._samples:
            spec = self.experiment.data[name]
            source: str | Path = spec.source
            if is_provided(spec.source):
                source = self._provided(name)
            # Only where pictures stand in a table is anything written there.
            samples = read(source, prompt=spec.prompt, unpack=self.root / "data" / "pictures")
            samples = _chosen(samples, spec.where, name)
            # Provided samples were drawn with the seed; a user's own are chosen with it.
            if spec.n is not None and not is_provided(spec.source):
                samples = samples.take(spec.n, seed=spec.seed)
            self._samples[name] = samples if self.experiment.images else hide(samples)
        return self._samples[name]

    def _provided(self, name: str) -> Path:
        spec = self.experiment.data[name]
        out, n = self.root / "data" / name, spec.n or 1000

        def write() -> dict[str, Any]:
            self.progress.start(f"drawing {name}", 1)
            path = provided_samples(spec.source, out, n=n, seed=spec.seed)
            self.progress.stop()
            return {"file": path.name}

        inputs = {"source": spec.source, "n": n, "seed": spec.seed}
        path = out / self.cache.run(f"data-{name}", inputs, write)["file"]
        return path if path.exists() else out / write()["file"]

    @cached_property
    def base_path(self) -> str:
        """Path or id of the base model."""
        return provided_model(self.experiment.base)

    @cached_property
    def tuned_path(self) -> str:
        """Path or id of the fine-tuned model or adapter."""
        return provided_model(self.experiment.tuned_model)

    @cached_property
    def models_key(self) -> str:
        """Digest of both models' files and of what computes with them, without loading them."""
        versions = [version(name) for name in ("shiftlens", "torch", "transformers")]
        return digest([_files_key(self.base_path), _files_key(self.tuned_path), versions])

    @cached_property
    def models(self) -> "tuple[Model, Model]":
        """Base and tuned model, on one copy of the weights where the second is an adapter."""
        from shiftlens.models.loading import load_pair

        return load_pair(self.base_path, self.tuned_path)

    def harvest(
        self,
        models: "Sequence[Model]",
        samples: Samples,
        site: "Site",
        out: Path,
        *,
        response: Literal["own", "base"] = "own",
        allow_empty: bool = False,
    ) -> "list[ActivationStore]":
        """One store a model, in the run's own directory.

        A store that an earlier version of the experiment left there is replaced: the directory
        belongs to the run, and what it holds can be made again.
        """
        from shiftlens.activations.harvesting import harvest

        options: dict[str, Any] = {
            "response": response,
            "batch_size": self.experiment.batch_size,
            "max_new_tokens": self.experiment.max_new_tokens,
            "allow_empty": allow_empty,
            "progress": self.progress,
        }
        try:
            return harvest(list(models), samples, site, out, **options)
        except (MismatchError, StoreError) as error:
            _log.info("replacing %s: %s", out, error.given)
            for manifest in out.rglob("manifest.json"):
                manifest.unlink()  # first: a kill in between must leave nothing whole
            shutil.rmtree(out, ignore_errors=True)
            return harvest(list(models), samples, site, out, **options)

    def shown(self, sample: Sample) -> str | None:
        """The sample's first picture as the report names it: relative to the run where inside.

        ``None`` where it has none, or where pictures are kept out of results.
        """
        found = path_of(sample)
        path = Path(found or "")
        inside = found is not None and path.is_relative_to(self.root)
        return str(path.relative_to(self.root)) if inside else found


def _chosen(samples: Samples, where: Mapping[str, Sequence[str]], name: str) -> Samples:
    """The samples whose labels have one of the values.

    Raises:
        DataError: there is none; the message lists the values that there are.
    """
    for label, values in where.items():
        known = {str(sample.labels[label]) for sample in samples if label in sample.labels}
        missing = sorted(set(values) - known)
        if missing:
            raise DataError(
                f"[data.{name}]: where {label} = {missing[0]!r} fits no sample",
                allowed=f"{label}: {', '.join(sorted(known)[:20]) or 'on no sample'}",
            )
        samples = samples.where(
            lambda s, label=label, values=values: str(s.labels.get(label)) in values
        )
    return samples


def _files_key(path: str) -> Any:
    """What identifies a model: its files where it lies on disk, its name where it does not."""
    root = Path(path)
    if not root.is_dir():
        return path
    key: list[tuple[str, int, str]] = []
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            size = file.stat().st_size
            mark = sha256_file(file) if size <= _WHOLE_FILE else str(file.stat().st_mtime_ns)
            key.append((str(file.relative_to(root)), size, mark))
    return key
