"""``PairProof``: what was found when two models were proven to be a base and its fine-tune."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class PairProof:
    """Evidence that a model is another one's fine-tune, and that it differs from it.

    Attributes:
        kind: how the tuned model differs: by an ``adapter``, or as a ``full model`` of its own.
        adapter_tensors: tensors of the adapter's file that were loaded, which is all of them.
        target_modules: modules that the adapter is in; each of them got its tensors.
        share_of_blocks: share of the decoder's blocks with at least one such module.
        modules_to_save: modules that the adapter replaces as a whole.
        vision_modules: adapted modules of the vision tower and of what maps it to the decoder:
            with them the pictures themselves are seen differently.
        embedding_modules: adapted input embeddings and unembedding: with them states are written
            or read differently, so that words of states need each model's own readout.
        allowed: differences that were allowed by name, with both values.
        probe: what the logits were compared on.
        largest_logit_difference: over the probe's answers and the vocabulary.
        mean_logit_difference: the mean of the absolute differences over the same.
        rounding: the largest mean logit difference that is put down to rounding, measured on the
            base (see ``shiftlens.models.probe.rounding_bound``); 0 where both share one module, in
            which nothing but the adapter differs.
        rounding_only: the mean difference is no larger than that: cast, quantised or merged copies
            differ so, and a fine-tune that does could not be told from them.
        base: what was loaded as the base.
        base_revision: its commit on the hub, where it came from there.
        base_named: the base that the adapter's configuration names.
        base_revision_named: the revision of it that the configuration names.
    """

    kind: Literal["adapter", "full model"]
    adapter_tensors: int = 0
    target_modules: int = 0
    share_of_blocks: float = 0.0
    modules_to_save: tuple[str, ...] = ()
    vision_modules: tuple[str, ...] = ()
    embedding_modules: tuple[str, ...] = ()
    allowed: Mapping[str, str] = field(default_factory=dict[str, str])
    probe: str = ""
    largest_logit_difference: float = 0.0
    mean_logit_difference: float = 0.0
    rounding: float = 0.0
    rounding_only: bool = False
    base: str = ""
    base_revision: str | None = None
    base_named: str | None = None
    base_revision_named: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The proof as JSON: names and values, tuples as lists."""
        fields = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in (fields | {"allowed": dict(self.allowed)}).items()
        }
