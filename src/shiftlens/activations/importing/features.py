"""A features file of xl-vlms, read safely: tensors, lists and texts, and nothing that runs.

The file is what ``torch.save`` made of a dictionary of lists, one entry a sample: ``hidden_states``
(module name to tensor), and perhaps ``image``, ``text``, ``model_predictions`` and
``token_of_interest_mask``. Tensors stay in the file until they are asked for.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import DataError

STATES, IMAGES, PROMPTS, RESPONSES, MASK = (
    "hidden_states",
    "image",
    "text",
    "model_predictions",
    "token_of_interest_mask",
)
_LAYOUT = f"a dictionary with {STATES}, and perhaps {IMAGES}, {PROMPTS}, {RESPONSES}, {MASK}"


@dataclass(frozen=True)
class Features:
    """What a file holds; lists are of one length.

    Attributes:
        path: the file.
        states: of each sample, by module.
        images: paths as the file has them, or ``None``.
        prompts: what was asked, or ``None``.
        responses: what was said, or ``None``.
        kept: of each sample, whether its state is one of the token of interest; all, where the file
            does not say.
        masked: whether it says.
    """

    path: Path
    states: Sequence[Mapping[str, Tensor]]
    images: Sequence[str] | None
    prompts: Sequence[str] | None
    responses: Sequence[str] | None
    kept: Sequence[bool]
    masked: bool

    def __len__(self) -> int:
        return len(self.states)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that every sample has states of."""
        return tuple(self.states[0])


def read_features(path: Path) -> Features:
    """Open a file and check its layout; no state is read yet.

    Raises:
        DataError: there is no such file, it is damaged, holds objects that could run code, or is of
            another layout; the message names the first thing that is wrong.
    """
    content = _loaded(path)
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}", allowed=_LAYOUT)
    if STATES not in content:
        found = ", ".join(sorted(map(str, content))[:10]) or "nothing"
        raise DataError(f"{path} holds no {STATES}, but {found}", allowed=_LAYOUT)
    states = _states(content[STATES], path)
    texts = {name: _texts(content, name, path) for name in (IMAGES, PROMPTS, RESPONSES)}
    mask = None if content.get(MASK) is None else _mask(content[MASK], path)
    for name, found in {**texts, MASK: mask}.items():
        if found is not None and len(found) != len(states):
            raise DataError(
                f"{path} holds {STATES} of {len(states)} samples and {name} of {len(found)}",
                allowed="lists of one length: an entry a sample",
            )
    return Features(
        path,
        states,
        *(texts[name] for name in (IMAGES, PROMPTS, RESPONSES)),
        kept=[True] * len(states) if mask is None else mask,
        masked=mask is not None,
    )


def _loaded(path: Path) -> Any:
    """The file's content; the one place where a file of torch.save is opened."""
    if not path.is_file():
        raise DataError(f"{path} is not a file", allowed="a .pth file that xl-vlms has saved")
    try:
        return _load(path)
    except Exception as error:  # bytes that are no such file fail in any way
        if type(error).__name__ == "UnpicklingError":
            raise DataError(
                f"{path} holds more than tensors, lists and texts, and is not opened: such a file "
                "can run code",
                allowed=_LAYOUT,
                remedy="have its author save plain tensors, lists, dictionaries and texts",
            ) from error
        raise DataError(
            f"{path} is damaged, or not a file that torch.save wrote",
            remedy="download or copy it again, and compare its size",
        ) from error


def _load(path: Path) -> Any:
    # Banned elsewhere: weights_only builds tensors and plain containers, and calls nothing else.
    load = torch.load  # noqa: TID251
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how the file was written; what matters is an error
        try:
            return load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            # Files of torch before 1.6 are one stream, and cannot be mapped.
            return load(path, map_location="cpu", weights_only=True)


def _states(found: Any, path: Path) -> list[dict[str, Tensor]]:
    if not isinstance(found, list) or not found:
        what = "an empty list" if found == [] else f"a {type(found).__name__}"
        raise DataError(f"{STATES} of {path} is {what}", allowed="a list, an entry a sample")
    for number, sample in enumerate(found):
        if not isinstance(sample, dict) or not sample:
            raise DataError(
                f"sample {number} of {path} has states in a {type(sample).__name__}",
                allowed="a dictionary from names of modules to tensors",
            )
        _require_tensors(sample, number, path)
        if sample.keys() != found[0].keys():
            raise DataError(
                f"sample {number} of {path} has states of {_named(sample)}, the first sample of "
                f"{_named(found[0])}",
                allowed="the same modules in every sample",
            )
    return found


def _require_tensors(sample: Mapping[Any, Any], number: int, path: Path) -> None:
    for module, tensor in sample.items():
        if isinstance(tensor, dict) or module in ("inputs", "outputs"):
            raise DataError(
                f"{path} holds inputs and outputs of modules, as learn-to-steer saves them",
                allowed=f"{STATES} of the outputs alone: module name to tensor",
                remedy="save the features with a hook save_hidden_states...",
            )
        if not isinstance(module, str) or not isinstance(tensor, Tensor):
            raise DataError(
                f"sample {number} of {path} has a {type(tensor).__name__} under {module!r}",
                allowed="names of modules, each with a tensor",
            )


def _named(sample: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, list(sample)[:3])) + (", ..." if len(sample) > 3 else "")


def _texts(content: Mapping[Any, Any], name: str, path: Path) -> list[str] | None:
    """One text a sample; a batch of one, as data loaders make it, is that one."""
    found = content.get(name)
    if found is None:
        return None
    if not isinstance(found, list):
        raise DataError(f"{name} of {path} is a {type(found).__name__}", allowed="a list of texts")
    texts: list[str] = []
    for number, entry in enumerate(found):
        one = entry[0] if isinstance(entry, list | tuple) and len(entry) == 1 else entry
        if not isinstance(one, str):
            raise DataError(
                f"{name} of sample {number} of {path} is {str(entry)[:60]!r}",
                allowed="a text, or a list with one text",
            )
        texts.append(one)
    return texts


def _mask(found: Any, path: Path) -> list[bool]:
    """Whether each sample has the token of interest: a list, or one tensor for all samples."""
    if isinstance(found, Tensor) and found.ndim == 1:
        found = list(found)
    if not isinstance(found, list):
        raise DataError(f"{MASK} of {path} is a {type(found).__name__}", allowed="a list of bools")
    kept: list[bool] = []
    for number, entry in enumerate(found):
        single = isinstance(entry, Tensor) and entry.numel() == 1 and entry.dtype == torch.bool
        if not single and not isinstance(entry, bool):
            raise DataError(
                f"{MASK} of sample {number} of {path} is not one yes or no",
                allowed="one bool a sample; masks over tokens of one sample are not read",
            )
        kept.append(bool(entry))
    return kept
