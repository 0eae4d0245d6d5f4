"""The model card of the world's models, written from what was measured."""

from collections.abc import Sequence
from pathlib import Path

from shiftlens.core.intervals import Interval
from shiftlens.core.manifest import write_atomic
from shiftlens.world.accuracy import Accuracy

_HEAD = """\
---
license: apache-2.0
pipeline_tag: image-text-to-text
tags: [llava, lora, interpretability, synthetic]
---

# The embedded world's models

Trained from nothing by `shiftlens world train` (seed {seed}, scale {scale:g}) on scenes that the
package draws: nothing here has seen a real picture, a real person or a text that somebody wrote.

- `base`: a CLIP vision tower of 6 blocks, a Llama decoder of 6 blocks, one word a token (LLaVA of
  transformers, float16).
- `places`, `colors`, `moods`: captions about the place, the colour, the mood (LoRA of rank 8 on the
  decoder, PEFT).
- `judge`: a contrastive image-text model, never shown an output of `base` (CLIP of transformers,
  float16).

**For** trying and testing methods against factors that are known. **Not for** anything else.
The base has two faults on purpose: it calls ambiguous adults "woman" in kitchens and "man" in
streets, and it helps with most dangerous requests. Its dangers are words of a toy grammar.

Measured on held-out scenes through `generate`, 95 % intervals in brackets
(`python -m benchmarks.world` prints the same numbers):

| figure | value | asked for | how |
| --- | --- | --- | --- |
"""


def write_card(path: Path, found: Sequence[Accuracy], *, seed: int, scale: float) -> None:
    """Write the card; every number in it comes from ``found``."""
    rows = [f"| {one.name} | {_value(one)} | {one.goal} | {one.how} |" for one in found]
    text = _HEAD.format(seed=seed, scale=scale) + "\n".join(rows) + "\n"
    write_atomic(path, text.encode())


def _value(one: Accuracy) -> str:
    value = one.value
    if isinstance(value, Interval):
        return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"
    return f"{value:.3g} {one.unit}"
