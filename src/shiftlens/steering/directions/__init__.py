"""Where steering vectors come from (Khayatan et al. 2025, section 3.4)."""

from shiftlens.steering.directions.choosing import Choice as Choice
from shiftlens.steering.directions.choosing import answers as answers
from shiftlens.steering.directions.choosing import labelled as labelled
from shiftlens.steering.directions.choosing import saying as saying
from shiftlens.steering.directions.concepts import between_concepts as between_concepts
from shiftlens.steering.directions.concepts import concept_of_image as concept_of_image
from shiftlens.steering.directions.means import between_stores as between_stores
from shiftlens.steering.directions.means import mean_difference as mean_difference
from shiftlens.steering.directions.means import mean_shift as mean_shift
from shiftlens.steering.directions.principal import (
    principal_between_stores as principal_between_stores,
)
from shiftlens.steering.directions.principal import principal_direction as principal_direction
from shiftlens.steering.directions.probing import probe_direction as probe_direction
from shiftlens.steering.directions.random import random_like as random_like
