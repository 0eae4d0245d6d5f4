"""Concepts of the embedded world beside what is known of its scenes.

``python -m benchmarks.concepts.world`` runs this part alone. The states are those behind a person's
words (man, woman, person), in every block of the model.
"""

import logging
import os
import time
from pathlib import Path

from benchmarks.concepts import agreeing, finding, naming, rating
from benchmarks.concepts.agreeing import Effort
from benchmarks.concepts.probing import probe
from benchmarks.concepts.world_data import FACTORS, World
from benchmarks.figures import Figure, main

ROOT = Path("runs/bench-concepts")
N_SELECTION, N_POOL = 4000, 8000

_log = logging.getLogger(__name__)


def measure() -> list[Figure]:
    """Probes, agreement and words of every block; then heat maps and quality."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # SHIFTLENS_BENCH_SHORT: a look at whether it runs, on a machine that others use.
    short = bool(os.environ.get("SHIFTLENS_BENCH_SHORT"))
    world = World.open(ROOT, 150 if short else N_SELECTION, 400 if short else N_POOL)
    effort = Effort(ks=(5, 20), seeds=2, most=100) if short else Effort()
    start = time.monotonic()
    figures: list[Figure] = []
    for layer in world.layers:
        figures += of_block(world, layer, effort)
        _log.info("block %d after %.0f s", layer, time.monotonic() - start)
    hunt = finding.open_hunt(world.model, ROOT, **({"n": 120, "parts": (4, 4, 8)} if short else {}))
    middle, last = len(world.layers) // 2 - 1, max(world.layers)
    figures += finding.figures_of(hunt, (middle, last))
    _log.info("heat maps after %.0f s", time.monotonic() - start)
    figures += rating.figures_of(world, k=effort.k)
    _log.info("quality after %.0f s", time.monotonic() - start)
    return figures


def of_block(world: World, layer: int, effort: Effort) -> list[Figure]:
    """What a probe reads, and for that how concepts agree with it and name it."""
    probed = [probe(world.selection, layer, factor) for factor in FACTORS]
    factors = [one.factor for one in probed if one.decodable]
    return [
        *(one.figure(layer) for one in probed),
        *agreeing.figures_of(world, layer, factors, effort),
        *naming.figures_of(world, layer, factors, k=effort.k, most=effort.most),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
