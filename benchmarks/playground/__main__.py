"""``python -m benchmarks.playground --json``: the playground on the embedded model.

``--seconds 20`` is a look at whether it runs; the goals are about two minutes.
"""

import argparse
import json

from benchmarks.figures import print_table
from benchmarks.playground.running import SECONDS, VISITORS, measure

parser = argparse.ArgumentParser(description="The playground under visitors.")
parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
parser.add_argument("--seconds", type=float, default=SECONDS, help="that visitors stay")
parser.add_argument("--visitors", type=int, default=VISITORS, help="at once")
given = parser.parse_args()
figures = measure(given.seconds, given.visitors)
if given.json:
    print(json.dumps({"figures": [figure.to_dict() for figure in figures]}, indent=1))
else:
    print_table(figures)
