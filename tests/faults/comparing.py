"""Two directories, byte for byte."""

from pathlib import Path


def files(root: Path) -> dict[str, bytes]:
    """Every file below a directory, by its path.

    Without the files of locks, which a kill at the very end may leave, and ``.request.json``, which
    holds the times of the model's files.
    """
    found = (
        path
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith((".lock-", ".request.json"))
    )
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def differences(whole: Path, other: Path) -> list[str]:
    """What distinguishes a directory from an undisturbed one, a sentence for each file."""
    wanted, found = files(whole), files(other)
    missing = [f"{name} is missing" for name in wanted if name not in found]
    extra = [f"{name} was left behind" for name in found if name not in wanted]
    both = [name for name in wanted if name in found]
    return [*missing, *extra, *(f"{n} differs" for n in both if wanted[n] != found[n])]
