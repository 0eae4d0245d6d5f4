"""Arms side by side on tasks: effects, side effects, intervals, tests, random controls."""

from shiftlens.steering.evaluating.directions import direction_arms as direction_arms
from shiftlens.steering.evaluating.evaluate import evaluate as evaluate
from shiftlens.steering.evaluating.evaluation import Evaluation as Evaluation
from shiftlens.steering.evaluating.lines import Line as Line
from shiftlens.steering.evaluating.trials import Trial as Trial
