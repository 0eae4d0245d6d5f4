"""``python -m benchmarks.readers --json``: memory and time of reading large inputs, in one run.

``--line-gb .1 --table-mb 5 --features-gb .05`` is a look at whether it runs; ``--folder`` is where
some two gigabytes are written and removed again (the long line is a hole: it takes no room).
"""

import argparse
import json
from pathlib import Path

from benchmarks.figures import print_table
from benchmarks.readers.running import FEATURES_GB, LINE_GB, TABLE_MB, measure

parser = argparse.ArgumentParser(description="Memory and time of reading large inputs.")
parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
parser.add_argument("--line-gb", type=float, default=LINE_GB, help="of the line without an end")
parser.add_argument("--table-mb", type=float, default=TABLE_MB, help="of the JSONL that is sifted")
parser.add_argument("--features-gb", type=float, default=FEATURES_GB, help="of the .pth file")
parser.add_argument("--folder", type=Path, help="where the files go; the system's by default")
given = parser.parse_args()
figures = measure(
    line_gb=given.line_gb,
    table_mb=given.table_mb,
    features_gb=given.features_gb,
    folder=given.folder,
)
if given.json:
    print(json.dumps({"figures": [figure.to_dict() for figure in figures]}, indent=1))
else:
    print_table(figures)
