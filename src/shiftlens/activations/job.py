"""What every part of a harvest has in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.activations.site import Site
from shiftlens.core.places import Remote
from shiftlens.core.progress import Progress
from shiftlens.models.model import Model, Response


@dataclass(frozen=True)
class Job:
    """What every part of a harvest has in common."""

    models: tuple[Model, ...]
    roots: tuple[Path | Remote, ...]
    site: Site
    text: str
    max_new_tokens: int
    batch_size: int
    progress: Progress
    said: Mapping[str, Response] | None = None
    options: Mapping[str, Any] | None = None
    stop_at_word: bool = False
    decoders: int = 0
    remote: bool = False
