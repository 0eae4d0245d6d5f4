"""What a base leaves behind when it is freed, so that a full fine-tune can be proven without it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from shiftlens.core.errors import DataError
from shiftlens.models.checkpoints import quantisation
from shiftlens.models.model import Model
from shiftlens.models.pairs import check_pair, compare_fields, pair_fields, require_allowable
from shiftlens.models.probe import Probe, make_probe, probe_logits, rounding_bound
from shiftlens.models.proof import PairProof
from shiftlens.models.proving import answered, same_twice
from shiftlens.models.stored import coarsest_eps


@dataclass(frozen=True)
class Witness:
    """Everything that a proof needs to know of a base; no weights.

    Attributes:
        called: the base, as messages call it.
        name: what the user called it.
        revision: its commit on the hub, where it came from there.
        identity: what decides its numbers.
        fields: what must agree with a fine-tune, as ``pair_fields`` gives it.
        probe: what it was asked.
        said: what it answered, (prompts, vocabulary), float32 on the CPU.
        own_eps: relative distance of neighbouring numbers in the coarsest type of its weights.
        eps: the same with the fine-tune's types, as its files announce them.
        rounding: the bound on rounding that was measured with ``eps``.
    """

    called: str
    name: str
    revision: str | None
    identity: dict[str, Any]
    fields: dict[str, Any]
    probe: Probe
    said: Tensor
    own_eps: float
    eps: float
    rounding: float

    @staticmethod
    def of(base: Model, skeleton: Model, allow: Collection[str] = ()) -> "Witness":
        """Ask a base, before anything is harvested, and refuse a fine-tune that cannot be one.

        Args:
            base: loaded.
            skeleton: the fine-tune without weights (``load_skeleton``).
            allow: differences that are meant, by name.

        Raises:
            DataError: a name in ``allow`` is none that can be allowed.
            MismatchError: the skeleton differs from the base in what is not allowed.
        """
        require_allowable(allow)
        packed = any(quantisation(model.hf.config) for model in (base, skeleton))
        if not packed:  # quantised modules get their types while weights are read
            check_pair(base, skeleton, allow)
        probe, eps = make_probe(base), coarsest_eps(base, skeleton)
        said = probe_logits(base, probe)
        return Witness(
            called=str(base),
            name=base.name,
            revision=base.origin.revision,
            identity=base.identity,
            fields=pair_fields(base, packed=packed),
            probe=probe,
            said=said,
            own_eps=coarsest_eps(base),
            eps=eps,
            rounding=rounding_bound(base, probe, said, eps),
        )

    def prove(self, tuned: Model, allow: Collection[str] = ()) -> None:
        """Prove a full model to be a fine-tune of the base and give it its ``proof``.

        Args:
            tuned: loaded; the base need not be in memory any more.
            allow: differences that are meant, by name.

        Raises:
            MismatchError: it is no fine-tune of the base, is the base itself or changes nothing.
        """
        if tuned.adapter is not None:
            raise DataError(
                f"{tuned} is an adapter, which is proven in the module of its base",
                remedy="load_pair(base, adapter): both need the memory of one",
            )
        packed = quantisation(tuned.hf.config) is not None or "quantised" in self.fields["dtype"]
        theirs = pair_fields(tuned, packed=packed)
        allowed = compare_fields(self.called, str(tuned), self.fields, theirs, allow)
        if self.identity == tuned.identity:
            raise same_twice(self.called, str(tuned))
        # Logits move in proportion to the rounding, should the weights have another type in memory
        # than the files announced.
        eps = max(self.own_eps, coarsest_eps(tuned))
        proof = PairProof(
            kind="full model", allowed=allowed, base=self.name, base_revision=self.revision
        )
        bound = self.rounding * eps / self.eps
        tuned.proof = answered(proof, self.called, self.said, tuned, self.probe, bound)
