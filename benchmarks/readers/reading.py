"""``python -m benchmarks.readers.reading WAY FILE``: reads one input and watches its memory."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.concepts.scale import Watch, anonymous_mb
from benchmarks.readers.running import LIMIT

WAYS = ("line", "first", "drawn", "features")


def here(way: str, file: Path) -> dict[str, Any]:
    """Read an input in this process.

    Returns:
        ``idle_mb`` before and ``most_mb`` while it was read, ``seconds``, and ``rows``, or what was
        ``said`` when it was refused.
    """
    import torch

    import shiftlens
    from shiftlens.activations.importing.importing import import_features

    read = shiftlens.read
    torch.zeros(1).sum()
    idle, start, said, rows = anonymous_mb(), time.perf_counter(), "", 0
    with Watch() as watch:
        try:
            if way == "features":
                rows = len(import_features(file, file.with_name("store")))
            elif way == "line":
                rows = len(read(file))
            else:
                seed = 0 if way == "drawn" else None
                rows = len(read(file, where={"kind": "wanted"}, limit=LIMIT, seed=seed))
        except shiftlens.ShiftLensError as error:
            said = str(error)
    seconds = time.perf_counter() - start
    memory = {"idle_mb": idle, "most_mb": watch.most_mb}
    return {**memory, "seconds": seconds, "rows": rows, "said": said}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Reads one input.")
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    print(json.dumps(here(given.way, given.file)))
