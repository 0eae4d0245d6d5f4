"""``python -m benchmarks.report``: a report of 20 concepts on either side, with photographs.

Two hundred different cuts of the two photographs that scikit-learn ships stand for the pictures of
a user: they have the grain and the edges that decide how many bytes a small JPEG takes. The page is
opened from the disk in a browser that has nothing cached.
"""

import os
import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.unit.reporting.builders import build_report

from benchmarks.figures import Figure, from_interval, main
from shiftlens.core.intervals import Interval, percentile
from shiftlens.reporting.html import write_report

K, EACH, EDGE, ROUNDS = 20, 5, 480, 7
HEATED, FINE = 3, 24  # heat maps of each concept on either side, of so many squares a side
_PAINTED = """() => new Promise((resolve) => {
  const look = () => {
    const [found] = performance.getEntriesByName("first-contentful-paint");
    if (found) resolve(found.startTime / 1000); else setTimeout(look, 20);
  };
  look();
})"""


def measure() -> list[Figure]:
    """Seconds to build, bytes, and seconds to the first paint."""
    # SHIFTLENS_BENCH_SHORT: a look at whether it runs, on a machine that others use.
    rounds = 2 if os.environ.get("SHIFTLENS_BENCH_SHORT") else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = _document(root)
        page = root / "report.html"
        built = [_built(data, page, root) for _ in range(rounds)]
        painted = _painted(page, rounds)
        size = page.stat().st_size
    pictures = f"{2 * K * EACH} pictures of {EDGE} x {EDGE}, {2 * K * HEATED} heat maps"
    what = f"{K} x 2 concepts, {pictures}; n = {rounds}"
    figures = [
        from_interval("report built", _spread(built), "s", "<= 5", f"median; {what}"),
        Figure("report", size / 1e6, None, None, "MB", "<= 5", f"bytes of the page; {what}"),
    ]
    if painted:
        how = f"first contentful paint from disk in Chromium; median; {what}"
        figures.append(from_interval("first paint", _spread(painted), "s", "<= 1", how))
    return figures


def _document(root: Path) -> dict[str, Any]:
    """The synthetic document, with a photograph of its own in each place."""
    data = build_report(root, k=K)
    paths = iter(_photographs(root, 2 * K * EACH))
    toi = data["toi"]["person"]
    toi["heat"] = {"method": "occlusion", "maps": [{}] * K, "maps_tuned": [{}] * K}
    for change in toi["changes"]:
        sides = (("base", "maps", change["index"]), ("tuned", "maps_tuned", change["partner"]))
        for side, maps, at in sides:
            shown = list(islice(paths, EACH))
            change[f"images_{side}"] = [{"id": path, "path": path} for path in shown]
            toi["heat"][maps][at] = {path: _heat_map(at) for path in shown[:HEATED]}
    return data


def _heat_map(seed: int) -> dict[str, Any]:
    """As fine as a run keeps them: squares of smooth heat, in whole percents."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.random((6, 6), dtype=np.float32))
    fine = np.asarray(coarse.resize((FINE, FINE), Image.Resampling.BICUBIC)).clip(0, 1)
    return {"largest": 1.0, "levels": np.round(100 * fine).astype(int).tolist()}


def _photographs(root: Path, n: int) -> list[str]:
    from sklearn.datasets import load_sample_images

    whole: Any = load_sample_images()
    rng, paths = np.random.default_rng(0), list[str]()
    for number in range(n):
        photograph = Image.fromarray(whole.images[number % 2])
        side = int(rng.integers(120, 400))
        left = int(rng.integers(0, photograph.width - side))
        top = int(rng.integers(0, photograph.height - side))
        cut = photograph.crop((left, top, left + side, top + side)).resize((EDGE, EDGE))
        paths.append(f"photograph-{number}.jpg")
        cut.save(root / paths[-1], quality=92)
    return paths


def _built(data: dict[str, Any], page: Path, root: Path) -> float:
    start = time.perf_counter()
    write_report(data, page, image_root=root)
    return time.perf_counter() - start


def _painted(page: Path, rounds: int) -> list[float]:
    """Seconds from the request to the first paint; empty where there is no browser."""
    from playwright.sync_api import Error, sync_playwright

    found: list[float] = []
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
        except Error:
            return found
        for _ in range(rounds):
            opened = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            opened.goto(page.as_uri())
            found.append(float(opened.evaluate(_PAINTED)))
            opened.context.close()
        browser.close()
    return found


def _spread(seconds: list[float]) -> Interval:
    """The median, with its bootstrap interval: one hiccup of a shared machine is no finding."""
    values, rng = np.asarray(seconds), np.random.default_rng(0)
    draws = rng.choice(values, (2000, len(values)))
    return percentile(np.median(draws, axis=1), float(np.median(values)))


if __name__ == "__main__":
    main(measure, __doc__ or "")
