"""``python -m benchmarks.steering``: effects, side effects, undoing, times."""

from benchmarks.figures import main
from benchmarks.steering.running import measure

if __name__ == "__main__":
    main(measure, "Steering the embedded world: effects, side effects and times.")
