"""What ``diff`` is given, what a run of it would cost, and whether it was run before."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiftlens
from shiftlens.cli.data_options import ALL_ROWS, Rows
from shiftlens.core.errors import DataError, StoreError
from shiftlens.core.manifest import digest, read_json, sha256_file, write_json

if TYPE_CHECKING:
    from shiftlens.data.sample import Samples
    from shiftlens.study.diff.settings import DiffSettings

DRAWN = 1500
"""Samples of a package's collection, unless another number is named."""

_DONE = "finished.json"
_LAYERS = 8  # blocks that are harvested, at most
_TRIED = 4  # vectors that are subtracted for each concept that is tried: its own and three random


def samples_of(
    source: str,
    out: Path,
    n: int | None,
    seed: int,
    prompt: str | None,
    rows: Rows = ALL_ROWS,
) -> "Samples":
    """Samples of a folder, of a file, or of a package, which are written on first use.

    Args:
        source: what ``read`` takes, or ``package:collection``.
        out: the run's directory; drawn samples go into ``data`` there, and so do pictures that
            stand in a table.
        n: how many; all of them, or ``DRAWN`` of a package, where it is ``None``.
        seed: which ones.
        prompt: asked about every picture.
        rows: which rows of it, and what their columns mean.

    Raises:
        DataError: there is nothing to read.
        StoreError: ``out`` is an address.
    """
    from shiftlens.core.places import require_here
    from shiftlens.data.reading import read
    from shiftlens.data.sources import is_provided, provided_samples

    require_here(out, "pictures, or a run,")
    chosen: dict[str, Any] = {"prompt": prompt, "where": rows.where, "columns": rows.columns}
    if not is_provided(source):
        unpack = out / "data" / "pictures"
        return read(source, limit=n, seed=seed, unpack=unpack, **chosen)
    count = DRAWN if n is None else n
    folder = out / "data" / f"{source.replace(':', '-')}-{count}-{seed}"
    if not (folder / "data.jsonl").is_file():  # written last: where it is, everything is
        provided_samples(source, folder, n=count, seed=seed)
    return read(folder, **chosen)


def placebo_paths(given: Sequence[str]) -> list[str]:
    """Placebos one by one: a directory that holds several, as ``placebo`` writes them, is opened.

    Raises:
        DataError: too few of them, or one is named twice.
    """
    found = [one for path in given for one in _inside(path)]
    if not found:
        return []
    from shiftlens.shift.margins import FEWEST_PLACEBOS

    if len(found) < FEWEST_PLACEBOS:
        raise DataError(
            f"{len(found)} placebos do not tell how far placebos scatter",
            allowed=f"at least {FEWEST_PLACEBOS}, better 5",
            remedy="train more (shiftlens placebo --seeds 5), or name a margin (--margin)",
        )
    twice = sorted({one for one in found if found.count(one) > 1})
    if twice:
        raise DataError(f"the placebo {twice[0]} is named twice", remedy="name each of them once")
    return found


def _inside(path: str) -> list[str]:
    folder = Path(path).expanduser()
    if not folder.is_dir() or (folder / "adapter_config.json").is_file():
        return [path]
    inner = [one for one in folder.glob("placebo-*") if (one / "adapter_config.json").is_file()]
    numbered = sorted(inner, key=lambda one: (len(one.name), one.name))
    # A full model has files of its own; any other directory without adapters is a mistake.
    if not numbered and not (folder / "config.json").is_file():
        raise DataError(
            f"{path} holds no placebo",
            allowed="an adapter, or a directory of placebo-0, placebo-1, ...",
            remedy="train them: shiftlens placebo BASE DATA --like TUNED --rate RATE --out DIR",
        )
    return [str(one) for one in numbered] or [path]


def cost(
    base: str, samples: int, pictures: int | None, placebos: int, settings: "DiffSettings"
) -> dict[str, Any]:
    """What a diff would do, from numbers and the base's configuration alone.

    Returns:
        ``samples`` and ``pictures``; ``answers``: how many are generated to compare, and
        ``answers_steered`` at most to see whether changes can be undone; ``passes``: readings of
        given text over all samples; ``refits``; ``rows`` of states at most, on ``layers`` at most,
        and their ``bytes``, ``None`` where the width of the model is not known here.
    """
    stores = 2 + placebos + 1  # base, tuned and placebos on the base's text, tuned on its own
    width, blocks = _size(base)
    layers = min(_LAYERS, blocks) if blocks else _LAYERS
    rows = stores * samples
    return {
        "samples": samples,
        "pictures": pictures,
        "answers": 2 * samples,
        "answers_steered": _TRIED * settings.n_examined * settings.n_restored,
        "passes": 2 + stores,
        "refits": settings.draws + 2 * settings.kind_draws,
        "rows": rows,
        "layers": layers,
        "bytes": None if width is None else 4 * width * layers * rows,
    }


def _size(base: str) -> tuple[int | None, int | None]:
    """Width and number of blocks, where the model lies here and its configuration says so."""
    from shiftlens.data.sources import provided_model

    path = Path(provided_model(base)).expanduser() / "config.json"
    if not path.is_file():
        return None, None
    try:
        config = read_json(path)
    except StoreError:
        return None, None
    text = config.get("text_config", config) if isinstance(config, dict) else {}
    found = [text.get(name) for name in ("hidden_size", "num_hidden_layers")]
    width, blocks = (one if isinstance(one, int) else None for one in found)
    return width, blocks


def inputs_key(
    models: Sequence[str], samples: "Samples", settings: "DiffSettings", options: dict[str, Any]
) -> str:
    """Digest of everything that decides a diff, without loading a model.

    Args:
        models: base, tuned and placebos, as they were named.
        samples: what is asked.
        settings: of the diff.
        options: how models are loaded, and what is kept of the result.
    """
    from importlib.metadata import version

    from shiftlens.models.files import signature_of_files

    package = Path(shiftlens.__file__).parent
    files = sorted(package.rglob("*.py"))
    code = [(str(one.relative_to(package)), sha256_file(one)) for one in files]
    return digest(
        [
            [signature_of_files(one) or one for one in models],
            samples.fingerprint,
            asdict(settings),
            options,
            code,
            [version(name) for name in ("torch", "transformers", "numpy")],
        ]
    )


def finished(out: Path, key: str) -> dict[str, Any] | None:
    """The document of an earlier run with these inputs, if it finished and is as it was left."""
    path = out / "diff.json"
    if not (out / _DONE).is_file() or not path.is_file():
        return None
    try:
        found, document = read_json(out / _DONE), read_json(path)
    except StoreError:
        return None
    same = isinstance(found, dict) and found == {"key": key, "diff.json": sha256_file(path)}
    return document if same else None


def finish(out: Path, key: str) -> None:
    """Note that ``diff.json`` is what these inputs give."""
    write_json(out / _DONE, {"key": key, "diff.json": sha256_file(out / "diff.json")})
