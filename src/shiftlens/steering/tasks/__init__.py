"""What steering is judged by: tasks behind one interface, each scoring every sample by itself."""

from shiftlens.steering.tasks.answers import AccuracyTask as AccuracyTask
from shiftlens.steering.tasks.answers import AnswersTask as AnswersTask
from shiftlens.steering.tasks.gender import GenderTask as GenderTask
from shiftlens.steering.tasks.pope import PopeTask as PopeTask
from shiftlens.steering.tasks.registry import make_task as make_task
from shiftlens.steering.tasks.safety import SafetyTask as SafetyTask
from shiftlens.steering.tasks.style import StyleTask as StyleTask
from shiftlens.steering.tasks.task import Measure as Measure
from shiftlens.steering.tasks.task import Scores as Scores
from shiftlens.steering.tasks.task import Task as Task
from shiftlens.steering.tasks.vqa import VQATask as VQATask
