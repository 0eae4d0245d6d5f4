"""``python -m benchmarks.export``: the time of exports, and of decoding from baked weights."""

from benchmarks.export.running import measure
from benchmarks.figures import main

if __name__ == "__main__":
    main(measure, "Exports: seconds for a large vector.")
