"""Files of xl-vlms' layout, written from its description: a dictionary of lists by sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

BLOCK = "language_model.model.layers.2"
NORM = "language_model.model.norm"
HEAD = "language_model.lm_head"


def save_pth(path: Path, content: Any, **options: Any) -> Path:
    """What another program writes; shiftlens itself never does."""
    torch.save(content, path, **options)  # noqa: TID251
    return path


def write_features(
    path: Path,
    states: Sequence[Tensor] | Tensor,
    *,
    module: str | Sequence[str] = BLOCK,
    batched: bool = True,
    **lists: Any,
) -> Path:
    """A features file of tensors (1, tokens, width), or (tokens, width), one a sample.

    Args:
        path: the file.
        states: of each sample.
        module: one name or several, which then share the states.
        batched: pictures and texts as a data loader of batches of one leaves them: ``[["a"]]``.
        lists: ``image``, ``text``, ``model_predictions``, ``token_of_interest_mask``.
    """
    modules = [module] if isinstance(module, str) else list(module)
    content: dict[str, Any] = {
        "hidden_states": [{name: one.clone() for name in modules} for one in states]
    }
    for name, found in lists.items():
        texts = name != "token_of_interest_mask"
        content[name] = [[one] for one in found] if batched and texts else found
    return save_pth(path, content)


def token_states(n: int = 6, tokens: int = 1, d: int = 8, seed: int = 0) -> Tensor:
    """(n, 1, tokens, d) of half precision, as the reference's GPU gives them."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, tokens, d, generator=random).half()


def masks(*kept: bool) -> list[Tensor]:
    """The token of interest's mask as it is saved: a tensor of one bool for each sample."""
    return [torch.tensor([one]) for one in kept]


def coco(n: int) -> list[str]:
    """Paths as they lie on another machine."""
    return [f"/data/coco/train2014/COCO_train2014_{number:012d}.jpg" for number in range(n)]
