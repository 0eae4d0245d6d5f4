"""``Imported``: tokens that another program chose, before its file came here."""

from dataclasses import dataclass
from typing import ClassVar

from shiftlens.activations.selections.selection import Pick, Said, Selection
from shiftlens.core.errors import SiteError
from shiftlens.data.sample import Sample


@dataclass(frozen=True)
class Imported(Selection):
    """States at tokens that a file does not name; they can be learned from, not harvested again.

    Attributes:
        hook: what the other program calls its choice, where the file's name says it.
    """

    kind: ClassVar[str] = "imported"
    hook: str = ""

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """None: which tokens they are is not known.

        Raises:
            SiteError: always.
        """
        raise SiteError(
            "imported states do not say at which tokens they were taken",
            allowed='tokens that can be found again, such as tokens.word("dog")',
            remedy="name the words when the file is imported: shiftlens import FILE --words dog",
        )
