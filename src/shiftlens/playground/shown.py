"""``Shown``: everything that the pages are made of, given to each of them whole."""

from dataclasses import dataclass

from shiftlens.playground.desk import Desk
from shiftlens.playground.library import Direction, Library
from shiftlens.playground.limits import Limits
from shiftlens.playground.thumbnails import Thumbnails


@dataclass(frozen=True)
class Shown:
    """What a playground shows, the same for every visitor and never changed.

    Attributes:
        library: the run.
        desk: the model; ``None`` where the run is only looked at.
        directions: those that fit the model, by key.
        misfits: those that do not: title and why.
        model: what the model is called for ``load_model``.
        adapter: the same for its adapter.
        limits: of visitors.
        thumbnails: of the run's pictures.
    """

    library: Library
    desk: Desk | None
    directions: dict[str, Direction]
    misfits: tuple[tuple[str, str], ...]
    model: str
    adapter: str | None
    limits: Limits
    thumbnails: Thumbnails

    @classmethod
    def of(
        cls,
        library: Library,
        desk: Desk | None,
        model: str,
        adapter: str | None = None,
        limits: Limits | None = None,
    ) -> "Shown":
        """Try every direction of the run on the model, once."""
        fitting: dict[str, Direction] = {}
        misfits: list[tuple[str, str]] = []
        for key, one in library.directions.items():
            if desk is None:
                break
            why = desk.fits(one.vectors[one.layers[-1]])
            if why:
                misfits.append((one.title, why))
            else:
                fitting[key] = one
        tiles = Thumbnails()
        return cls(
            library, desk, fitting, tuple(misfits), model, adapter, limits or Limits(), tiles
        )
