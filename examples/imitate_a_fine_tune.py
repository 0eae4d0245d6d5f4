"""Make a base model caption like its fine-tuned version, with one vector and no training."""

from pathlib import Path

import shiftlens as sl
from shiftlens.steering.directions import mean_shift, random_like
from shiftlens.world import models
from shiftlens.world.source import materialise

base, tuned = sl.load_pair(models.path("base"), models.path("places"))
fit = sl.read(materialise("captions", Path("fit"), n=150, seed=11))
new = sl.read(materialise("captions", Path("new"), n=6, seed=12))

# Where the choice is made: at the word after which a caption either ends or goes on to the place.
decision = sl.tokens.word("standing", "running", "sitting", "flying", "moving", alignment="read")
site = sl.Site(layer=-3, tokens=decision)
before, after = sl.harvest([base, tuned], fit, site, "stores", response="base")
vector = mean_shift(before, after, name="towards places")

for sample in new:
    print("unsteered:", base.generate(sample.images[0], sample.prompt))
    with sl.steer(base, vector) as receipt:
        print("steered:  ", base.generate(sample.images[0], sample.prompt))
    with sl.steer(base, random_like(vector)):
        print("random:   ", base.generate(sample.images[0], sample.prompt))
print(receipt.summary())
