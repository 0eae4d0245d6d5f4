"""``ask``: a model's greedy answers to samples, kept in one file so that nobody is asked twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError, MismatchError, StoreError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.core.progress import Progress
from shiftlens.data.images import open_image
from shiftlens.data.privacy import told
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model, Response

_KIND, _SCHEMA = "said", 1


def readable(samples: Samples) -> tuple[Samples, list[dict[str, str]]]:
    """The samples whose pictures can be opened, and the others with ``id`` and ``reason``.

    Raises:
        DataError: there are none.
    """
    quarantine: list[dict[str, str]] = []
    for sample in samples:
        try:
            for ref in sample.images:
                open_image(ref)
        except DataError as error:
            quarantine.append({"id": sample.id, "reason": told(sample, str(error))})
    bad = {one["id"] for one in quarantine}
    kept = samples.where(lambda sample: sample.id not in bad)
    if not len(kept):
        first = f"; {quarantine[0]['id']}: {quarantine[0]['reason']}" if quarantine else ""
        raise DataError(
            f"none of {len(samples)} samples can be read{first}",
            remedy="check the paths of the images",
        )
    return kept, quarantine


@dataclass(frozen=True)
class Asking:
    """How models are asked.

    Attributes:
        samples: what they are asked; all of them can be read.
        folder: where answers are kept.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.
        progress: who is told.
    """

    samples: Samples
    folder: Path
    max_new_tokens: int
    batch_size: int
    progress: Progress

    def said(self, model: Model) -> dict[str, Response]:
        """Greedy answers by sample id, from the model's file where it has one.

        Raises:
            MismatchError: the file holds answers of another model, or to other samples.
            StoreError: the file is damaged.
        """
        path = self.folder / f"{model.label}.json"
        identity = {
            "model": model.identity,
            "data": self.samples.fingerprint,
            "max_new_tokens": self.max_new_tokens,
        }
        if path.exists():
            return _read(path, identity)
        said = model.respond(
            list(self.samples),
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            progress=self.progress,
        )
        found = {sample.id: one for sample, one in zip(self.samples, said, strict=True)}
        rows = {
            name: {"text": one.text, "token_ids": list(one.token_ids), "truncated": one.truncated}
            for name, one in found.items()
        }
        head = {"kind": _KIND, "schema": _SCHEMA, "identity": identity}
        write_json(path, {**head, "said": rows})
        return found


def _read(path: Path, identity: Mapping[str, Any]) -> dict[str, Response]:
    found = read_json(path)
    try:
        if (found["kind"], found["schema"]) != (_KIND, _SCHEMA):
            raise StoreError(f"{path} holds no answers of schema {_SCHEMA}")
        if found["identity"] != identity:
            raise MismatchError(
                f"{path} holds answers of another model, or to other samples",
                remedy="choose another directory, or remove this one",
            )
        return {
            name: Response(one["text"], tuple(one["token_ids"]), one["truncated"])
            for name, one in found["said"].items()
        }
    except (KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error!r})", remedy="remove it") from error
