"""Public data sets as people unpack them; ``read`` recognises each of these by its files.

None of the readers downloads anything. What each layout is assumed to be stands in its docstring
and in ``docs/formats/data.md``.
"""

from shiftlens.data.layouts.coco_captions import read_coco_captions as read_coco_captions
from shiftlens.data.layouts.layout import Layout as Layout
from shiftlens.data.layouts.layout import layout_of as layout_of
from shiftlens.data.layouts.layout import layouts as layouts
from shiftlens.data.layouts.mm_safetybench import read_mm_safetybench as read_mm_safetybench
from shiftlens.data.layouts.pope import read_pope as read_pope
from shiftlens.data.layouts.visual_genome import read_visual_genome as read_visual_genome
from shiftlens.data.layouts.vqav2 import read_vqav2 as read_vqav2
