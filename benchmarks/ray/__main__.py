"""``python -m benchmarks.ray``: two workers of one thread each beside one such worker."""

from benchmarks.figures import main
from benchmarks.ray.running import measure

if __name__ == "__main__":
    main(measure, "Parts of a harvest of the embedded world on workers of Ray, start-up excluded.")
