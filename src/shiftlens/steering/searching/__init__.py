"""Which layer, how strong, which operator, where, when: chosen on one half, measured on another."""

from shiftlens.steering.searching.budgets import Budget as Budget
from shiftlens.steering.searching.budgets import read_budget as read_budget
from shiftlens.steering.searching.fitting import layer_directions as layer_directions
from shiftlens.steering.searching.found import Search as Search
from shiftlens.steering.searching.grid import Cell as Cell
from shiftlens.steering.searching.search import search as search
from shiftlens.steering.searching.sides import OffTarget as OffTarget
