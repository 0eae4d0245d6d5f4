"""``--no-images``: one option, one meaning in every verb."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shiftlens.data.sample import Samples

NoImages = Annotated[
    bool, typer.Option("--no-images", help="Keep pictures and their names out of results.")
]
"""See ``shiftlens.data.privacy`` and docs/privacy.md."""


def as_named(samples: "Samples", no_images: bool) -> "Samples":
    """The samples under their own names, or under names that tell nothing."""
    if not no_images:
        return samples
    from shiftlens.data.privacy import hide

    return hide(samples)
