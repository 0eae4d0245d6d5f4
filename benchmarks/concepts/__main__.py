"""``python -m benchmarks.concepts``: learners, words, pictures and quality of concepts."""

from benchmarks.concepts.running import measure
from benchmarks.figures import main

if __name__ == "__main__":
    main(measure, "Concepts: speed, scale, words, and agreement with the world's known factors.")
