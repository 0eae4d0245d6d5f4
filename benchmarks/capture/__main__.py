"""``python -m benchmarks.capture``: what a harvest costs beside bare generation."""

from benchmarks.capture.running import measure
from benchmarks.figures import main

if __name__ == "__main__":
    main(measure, "Harvesting beside bare batched generation: time and memory, as ratios.")
