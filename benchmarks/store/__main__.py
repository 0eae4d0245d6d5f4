"""``python -m benchmarks.store --json``: the store beside a raw memory map, in one run.

``--rows 20000`` is a look at whether it runs, on a machine that others use; ``--folder`` is where
some ten gigabytes are written and removed again.
"""

import argparse
import json
import logging
from pathlib import Path

from benchmarks.figures import print_table
from benchmarks.store.running import ROWS, measure

parser = argparse.ArgumentParser(description="The store beside a raw memory map.")
parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
parser.add_argument("--rows", type=int, default=ROWS, help="of the store that is compared")
parser.add_argument("--folder", type=Path, help="where the files go; the system's by default")
parser.add_argument("--only", default="", help="one of: write, read, memory, books")
given = parser.parse_args()
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
figures = measure(given.rows, folder=given.folder, only=given.only)
if given.json:
    print(json.dumps({"figures": [figure.to_dict() for figure in figures]}, indent=1))
else:
    print_table(figures)
