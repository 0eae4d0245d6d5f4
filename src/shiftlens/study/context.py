"""What all stages of a run share: the experiment, its directory, its samples and its models.

Samples and models are made when first asked for: a run whose stages are all cached loads no model.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftlens.core.manifest import digest, sha256_file
from shiftlens.core.progress import Progress
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples
from shiftlens.data.sources import is_provided, provided_model, provided_samples
from shiftlens.study.cache import StageCache
from shiftlens.study.experiment import Experiment

if TYPE_CHECKING:
    from shiftlens.models.model import Model

_WHOLE_FILE = 32 * 2**20  # files up to 32 MB are hashed whole, larger ones by size and time


@dataclass
class Context:
    """One run of one experiment in one directory."""

    experiment: Experiment
    root: Path
    cache: StageCache
    progress: Progress
    _samples: dict[str, Samples] = field(default_factory=dict[str, Samples])

    def samples(self, name: str) -> Samples:
        """The samples of a data set of the experiment; provided ones are written on first use."""
        if name not in self._samples:
            spec = self.experiment.data[name]
            source: str | Path = spec.source
            if is_provided(spec.source):
                source = self._provided(name)
            self._samples[name] = read(source, prompt=spec.prompt, limit=spec.n)
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
        return provided_model(self.experiment.tuned)

    @cached_property
    def models_key(self) -> str:
        """Digest of both models' files, without loading them."""
        return digest([_files_key(self.base_path), _files_key(self.tuned_path)])

    @cached_property
    def models(self) -> "tuple[Model, Model]":
        """Base and tuned model, on one copy of the weights where the second is an adapter."""
        from shiftlens.models.loading import load_pair

        return load_pair(self.base_path, self.tuned_path)


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
