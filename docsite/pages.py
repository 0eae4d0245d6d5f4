"""A page of Markdown as a row of blocks: prose, code that runs, and what that printed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_FENCE = re.compile(r"(?ms)^```(\w*)(?: title=(\S+))?\n(.*?)^```$\n?")
RUNS = ("sh", "python")


@dataclass(frozen=True)
class Block:
    """One piece of a page.

    Attributes:
        kind: ``prose``, or the language of a fence: ``sh``, ``python``, ``text``, ``toml``, ...
        text: what stands in it, without the fence.
        title: the file that a fence is to be written to, or nothing.
        printed: whether this is what the block before it printed.
    """

    kind: str
    text: str
    title: str = ""
    printed: bool = False

    def markdown(self) -> str:
        """The block as it stands in the page."""
        if self.kind == "prose":
            return self.text
        title = f" title={self.title}" if self.title else ""
        return f"```{self.kind}{title}\n{self.text}```\n"


def parse(text: str) -> list[Block]:
    """The blocks of a page; put together again by ``whole`` they are the page."""
    blocks: list[Block] = []
    at = 0
    for fence in _FENCE.finditer(text):
        if fence.start() > at:
            blocks.append(Block("prose", text[at : fence.start()]))
        blocks.append(Block(fence[1] or "text", fence[3], fence[2] or ""))
        at = fence.end()
    if at < len(text):
        blocks.append(Block("prose", text[at:]))
    return _with_prints(blocks)


def whole(blocks: Sequence[Block]) -> str:
    """The page of these blocks."""
    return "".join(block.markdown() for block in blocks)


def _with_prints(blocks: list[Block]) -> list[Block]:
    """A ``text`` block is a print where nothing but a blank line parts it from one that runs."""
    found: list[Block] = []
    for block in blocks:
        before = [one for one in found[-2:] if one.kind != "prose" or one.text.strip()]
        near = bool(before) and before[-1] is _last_code(found)
        found.append(replace(block, printed=block.kind == "text" and near))
    return found


def _last_code(blocks: Sequence[Block]) -> Block | None:
    """The last block if it runs, blank lines passed over."""
    for block in reversed(blocks):
        if block.kind == "prose" and not block.text.strip():
            continue
        return block if block.kind in RUNS else None
    return None
