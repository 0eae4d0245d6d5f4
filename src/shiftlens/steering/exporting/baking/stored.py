"""Tensors of a checkpoint as its files name them, and a copy with some of them changed."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import ExportError
from shiftlens.core.manifest import replacing, write_json
from shiftlens.models.model import Model

INDEX = "model.safetensors.index.json"
_ADDED = "model-steering{}.safetensors"
_ALONE, _FIRST = "model.safetensors", "model-00001.safetensors"
_ENDINGS = (".json", ".jinja", ".model", ".txt", ".tiktoken")
_LEGAL = ("license", "licence", "notice", "copying", "use_policy", "acceptable_use")
"""Beginnings of files that whoever passes a model on has to pass on, too."""

_ABOUT_WEIGHTS = ("config.json", INDEX)


@dataclass(frozen=True)
class Stored:
    """The weights of a directory.

    Attributes:
        root: the directory.
        files: every tensor's name, and the file that holds it.
        shapes: every tensor's shape.
    """

    root: Path
    files: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def open(cls, root: Path) -> "Stored":
        """Read the heads of a directory's safetensors files; those that an index names, if any."""
        from safetensors import safe_open

        named = None
        if (root / INDEX).is_file():
            content = json.loads((root / INDEX).read_text(encoding="utf-8"))
            named = set(content["weight_map"].values())
        files: dict[str, str] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for file in sorted(root.glob("*.safetensors")):
            if named is not None and file.name not in named:
                continue
            with safe_open(file, framework="pt") as opened:
                for key in opened.keys():  # noqa: SIM118
                    files[key] = file.name
                    shapes[key] = tuple(opened.get_slice(key).get_shape())
        return cls(root, files, shapes)

    @property
    def new_file(self) -> str:
        """What the file of tensors that the original does not have is called in its copies."""
        taken = {*self.files.values()}
        numbers = ("", *(f"-{n}" for n in range(2, len(taken) + 3)))
        return next(name for name in map(_ADDED.format, numbers) if name not in taken)

    def names(self, added: Mapping[str, Tensor]) -> dict[str, str]:
        """What the copies of the files are called.

        Args:
            added: tensors that the copy has besides, in a file of their own.
        """
        files = sorted(set(self.files.values()))
        # A lone model.safetensors would be read without the index, and without the new file.
        return {file: _FIRST if added and len(files) == 1 else file for file in files}

    def read(self, key: str) -> Tensor:
        """One tensor, as it lies on the disk."""
        from safetensors import safe_open

        with safe_open(self.root / self.files[key], framework="pt") as opened:
            return opened.get_tensor(key)

    def key_of(self, model: Model, name: str, tensor: Tensor) -> str:
        """What the files call a tensor of the loaded model: alike in name, equal in content.

        transformers loads older names under newer ones, so that the two need not be the same.

        Args:
            model: it was loaded from these files.
            name: of the tensor in ``model.hf``.
            tensor: its values.

        Raises:
            ExportError: no tensor of the files is this one.
        """
        alike = {
            key: _common(key, name)
            for key, shape in self.shapes.items()
            if shape == tuple(tensor.shape)
        }
        # From the nearest name down; the last part, "weight", must be the same at least.
        for key in sorted(alike, key=lambda one: -alike[one]):
            if alike[key] and torch.equal(self.read(key).to(tensor), tensor.detach()):
                return key
        raise ExportError(
            f"the files of {model.name} hold no tensor {name} as the loaded model has it: they are "
            "packed, quantised or fused otherwise",
            allowed="checkpoints whose weights are stored as they are used",
            remedy="load it with transformers, save it with save_pretrained, and export for that",
        )


def _common(key: str, name: str) -> int:
    """How many parts two dotted names have in common, from their ends."""
    count = 0
    for mine, theirs in zip(reversed(key.split(".")), reversed(name.split(".")), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def beside(root: Path) -> list[str]:
    """Files that a directory holds beside weights and configuration: tokenizer, licence, ..."""
    return [
        file.name
        for file in sorted(root.iterdir())
        if file.is_file()
        and (file.suffix in _ENDINGS or file.name.lower().startswith(_LEGAL))
        and file.name not in _ABOUT_WEIGHTS
    ]


def copy_files(names: Iterable[str], root: Path, out: Path) -> None:
    """Copy files of a directory."""
    for name in names:
        shutil.copyfile(root / name, out / name)


def write_weights(
    stored: Stored,
    out: Path,
    edits: Mapping[str, Callable[[Tensor], Tensor]],
    added: Mapping[str, Tensor],
    *,
    alone: bool = False,
) -> list[str]:
    """Copy a checkpoint's weights, a file at a time, with some tensors changed and some new.

    Files in which nothing changes are copied byte for byte, and new tensors lie in a file of their
    own.

    Args:
        stored: the original.
        out: the folder.
        edits: what replaces a tensor, by its key; of the same shape and type.
        added: new tensors.
        alone: write one file under the name that needs no index.

    Returns:
        names of the files.
    """
    names = dict.fromkeys(stored.files.values(), _ALONE) if alone else stored.names(added)
    for file, name in names.items():
        keys = [key for key, where in stored.files.items() if where == file]
        _copy_file(stored.root / file, out / name, {k: edits[k] for k in keys if k in edits})
    where = {key: names[file] for key, file in stored.files.items()}
    if added:
        _save({key: tensor.contiguous() for key, tensor in added.items()}, out / stored.new_file)
        where |= dict.fromkeys(added, stored.new_file)
    written = sorted(set(where.values()))
    if len(written) > 1 or (not alone and (stored.root / INDEX).is_file()):
        total = sum((out / name).stat().st_size for name in written)
        write_json(out / INDEX, {"metadata": {"total_size": total}, "weight_map": where})
        written.append(INDEX)
    return written


def _copy_file(source: Path, out: Path, edits: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
    from safetensors import safe_open

    if not edits:
        with replacing(out) as temporary:
            shutil.copyfile(source, temporary)
        return
    with safe_open(source, framework="pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    for key, edit in edits.items():
        tensors[key] = edit(tensors[key]).contiguous()
    _save(tensors, out)


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def bytes_of(tensor: Tensor) -> bytes:
    """A tensor's bytes, in the order of its entries."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def write_config(root: Path, out: Path, settings: Mapping[tuple[str, ...], Any]) -> None:
    """Copy ``config.json`` with some settings changed."""
    content = _config(root)
    for path, value in settings.items():
        owner = content
        for part in path[:-1]:
            owner = owner.setdefault(part, {})
        owner[path[-1]] = value
    write_json(out / "config.json", content)


def write_config_told(
    root: Path, settings: Mapping[tuple[str, ...], Any]
) -> dict[str, dict[str, Any]]:
    """For every setting what it was (``before``; ``was_there``) and what it is now (``after``)."""
    content, told = _config(root), dict[str, dict[str, Any]]()
    for path, value in settings.items():
        owner = content
        for part in path[:-1]:
            owner = owner.get(part, {})
        told[".".join(path)] = {
            "was_there": path[-1] in owner,
            "before": owner.get(path[-1]),
            "after": value,
        }
    return told


def restore_config(root: Path, out: Path, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Copy ``config.json`` with settings as they were before."""
    content = _config(root)
    for name, one in told.items():
        *sections, last = name.split(".")
        owner = content
        for part in sections:
            owner = owner[part]
        if one["was_there"]:
            owner[last] = one["before"]
        else:
            owner.pop(last, None)
    write_json(out / "config.json", content)


def _config(root: Path) -> dict[str, Any]:
    return json.loads((root / "config.json").read_text(encoding="utf-8"))
