"""``python -m benchmarks``: all of them, one after the other."""

import argparse
import json

from benchmarks import callback, images, report, world
from benchmarks.capture import running as capture
from benchmarks.concepts import running as concepts
from benchmarks.export import running as export
from benchmarks.figures import Figure, print_table
from benchmarks.playground import running as playground
from benchmarks.ray import running as ray
from benchmarks.readers import running as readers
from benchmarks.shift import running
from benchmarks.steering import running as steering
from benchmarks.store import running as store

ALL = {
    "world": world.measure,
    "shift": running.measure,
    "callback": callback.measure,
    "steering": steering.measure,
    "capture": capture.measure,
    "concepts": concepts.measure,
    "images": images.measure,
    "readers": readers.measure,
    "store": store.measure,
    "ray": ray.measure,
    "playground": playground.measure,
    "report": report.measure,
    "export": export.measure,
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
arguments = parser.parse_args()
figures: list[Figure] = []
for name, measure in ALL.items():
    found = measure()
    figures += found
    if not arguments.json:
        print(f"\n{name}")
        print_table(found)
if arguments.json:
    print(json.dumps({"figures": [figure.to_dict() for figure in figures]}, indent=1))
