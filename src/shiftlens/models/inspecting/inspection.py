"""``Inspection``: what is known about a model before a single weight is read."""

from dataclasses import asdict, dataclass, field
from typing import Any

from shiftlens.models.address import Address


@dataclass(frozen=True)
class Logits:
    """How the unembedding turns a state into logits.

    Attributes:
        tied: its weights are the embedding's.
        numbers: what the configuration names of scales and soft caps; whether the family applies
            them is measured when the model is loaded.
        masked: the family bars tokens, such as those of pictures, by overwriting their logits.
    """

    tied: bool
    numbers: dict[str, float] = field(default_factory=dict[str, float])
    masked: bool = False


@dataclass(frozen=True)
class TokenRoles:
    """Which tokens of a prompt are what.

    Attributes:
        picture: the token that stands for a piece of a picture; ``None`` where there is none.
        begin: the tokens around a picture's, as the template and the processor write them: what
            comes before it (empty if that is ordinary text)
        end: and what comes after it.
        template: a chat template is there.
        system: it has a place for a system prompt.
        reasoning: the marks between which a model thinks before it answers.
    """

    picture: str | None
    begin: str = ""
    end: str = ""
    template: bool = False
    system: bool = False
    reasoning: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patches:
    """How the tokens of a picture lie in it.

    Attributes:
        kind: ``fixed`` (one grid for every picture), ``dynamic`` (a grid of each picture's own),
            ``tiles``, ``resampled`` (no token has a place), or ``unknown``.
        size: width and height of the picture that was tried, in pixels.
        tokens: how many tokens it has.
        grid: rows and columns of its patches, where they have a place.
        reason: why they have none.
    """

    kind: str
    size: tuple[int, int]
    tokens: int = 0
    grid: tuple[int, int] | None = None
    reason: str = ""


@dataclass(frozen=True)
class AdapterSettings:
    """What the configuration of a PEFT adapter says.

    Attributes:
        base: the model that it was trained on.
        kind: PEFT's name of the type, such as LORA.
        rank: of its factors, where it has such.
        alpha: what its contribution is multiplied by, before it is divided by the rank.
        targets: names, or a pattern, of the modules that it is in.
        saved: modules that it replaces as a whole.
        modules: how many modules of the base that is; ``None`` where the base is not at hand.
        scalable: whether it can be on in part (``Model.at_scale``).
    """

    base: str | None
    kind: str
    rank: int | None
    alpha: float | None
    targets: tuple[str, ...]
    saved: tuple[str, ...] = ()
    modules: int | None = None
    scalable: bool = False


@dataclass(frozen=True)
class Inspection:
    """What a model is, where its residual stream is, and what cannot be done with it.

    Attributes:
        name: what the user called it.
        family: its ``model_type``; empty where none is told.
        kind: its class in transformers; empty where it could not be built.
        parameters: how many numbers its weights are; 0 where it could not be built.
        dtype: the type in which they are stored; empty where none is told.
        address: of its residual stream, proven by a forward call without weights.
        vision_blocks: how many blocks its vision tower has, where they can be addressed.
        logits: how they are read; ``None`` where it has no address.
        tokens: roles of tokens; ``None`` where the processor cannot be loaded.
        patches: how those of a picture lie; ``None`` where no picture could be prepared.
        additions: what enters the residual stream outside of the blocks.
        quantised: how its weights are packed; ``None`` if they are not.
        adapter: settings of the adapter, if an adapter was given.
        reasons: why it cannot be used; empty if it can.
        limits: what cannot be done with it although it can be used, and why.
    """

    name: str
    family: str = ""
    kind: str = ""
    parameters: int = 0
    dtype: str = ""
    address: Address | None = None
    vision_blocks: int | None = None
    logits: Logits | None = None
    tokens: TokenRoles | None = None
    patches: Patches | None = None
    additions: tuple[str, ...] = ()
    quantised: str | None = None
    adapter: AdapterSettings | None = None
    reasons: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against loading it."""
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the attributes by name, and ``usable``."""
        return {"usable": self.usable, **asdict(self)}
