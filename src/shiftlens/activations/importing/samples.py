"""The samples of a features file: ids that two files of one data set share, and their pictures."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shiftlens.activations.importing.features import Features
from shiftlens.core.errors import DataError
from shiftlens.core.manifest import digest
from shiftlens.data.privacy import hide
from shiftlens.data.sample import Sample, Samples


def samples_in(
    features: Features, prompt: str | None, images: str | Path | None, *, keep_names: bool
) -> tuple[Samples, str]:
    """What the states are of.

    An id is the picture's file name; its whole path where two pictures share a name; a number
    where the file names no pictures. Of several samples of one picture the later ones are numbered.

    Args:
        features: the file.
        prompt: asked in place of what the file says.
        images: a folder in which the pictures are looked for.
        keep_names: keep ids and paths as they are.

    Returns:
        the samples, in the file's order, and the fingerprint of the collection: equal for two
        models that were asked the same.

    Raises:
        DataError: there is no such folder.
    """
    n = len(features)
    paths = list(features.images or [""] * n)
    prompts = [prompt] * n if prompt is not None else list(features.prompts or [""] * n)
    ids = _ids(paths)
    data = f"imported:{digest([ids, paths, prompts])}"
    here = paths if images is None else _found(paths, Path(images))
    made = Samples(
        [
            Sample(one, asked or "", (path,) if path else ())
            for one, asked, path in zip(ids, prompts, here, strict=True)
        ]
    )
    if keep_names:
        return made, data
    return hide(made, salt=data), data


def _ids(paths: Sequence[str]) -> list[str]:
    if not any(paths):
        return [f"{number:06d}" for number in range(len(paths))]
    owner: dict[str, str] = {}
    shared = {name for path in paths if owner.setdefault(name := _parts(path)[-1], path) != path}
    seen: Counter[str] = Counter()
    ids: list[str] = []
    for path in paths:
        name = _parts(path)[-1]
        one = path if name in shared else name
        seen[one] += 1
        ids.append(one if seen[one] == 1 else f"{one}#{seen[one]}")
    return ids


def _parts(path: str) -> list[str]:
    """Of a path of any system: the file may come from another one."""
    found = [one for one in path.replace("\\", "/").split("/") if one not in ("", ".", "..")]
    return found or [path]


def _found(paths: Sequence[str], folder: Path) -> list[str]:
    """Each picture under the folder, by the longest end of its path; as it was where it is not."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder", allowed="the folder that holds the pictures")
    root = folder.resolve()
    found: dict[str, str] = {}
    for path in paths:
        if path and path not in found:
            parts = _parts(path)
            ends = (root.joinpath(*parts[start:]) for start in range(len(parts)))
            found[path] = next((str(one) for one in ends if one.is_file()), path)
    return [found.get(path, path) for path in paths]
