"""Baking: a steering in the weights of a plain checkpoint, proven equal to the hooks."""

from shiftlens.steering.exporting.baking.ablating import ablated_everywhere as ablated_everywhere
from shiftlens.steering.exporting.baking.target import Baked as Baked
from shiftlens.steering.exporting.baking.undoing import unbake as unbake
