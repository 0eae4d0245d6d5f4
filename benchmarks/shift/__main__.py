"""``python -m benchmarks.shift``: false alarms, power, real adapters, times."""

from benchmarks.figures import main
from benchmarks.shift.running import measure

if __name__ == "__main__":
    main(measure, "False alarms, power and real adapters on the embedded world.")
