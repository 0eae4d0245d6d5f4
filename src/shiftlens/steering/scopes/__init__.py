"""Which positions are steered: five named scopes, pictures, patches, words."""

from shiftlens.core.scopes import SCOPES as SCOPES
from shiftlens.steering.scopes.pictures import Image as Image
from shiftlens.steering.scopes.pictures import Patches as Patches
from shiftlens.steering.scopes.pictures import image as image
from shiftlens.steering.scopes.pictures import patches as patches
from shiftlens.steering.scopes.reading import read_scope as read_scope
from shiftlens.steering.scopes.scope import Named as Named
from shiftlens.steering.scopes.scope import Scope as Scope
from shiftlens.steering.scopes.words import Words as Words
from shiftlens.steering.scopes.words import words as words
