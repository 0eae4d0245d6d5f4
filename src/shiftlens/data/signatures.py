"""Whether samples are those of an earlier run, told without opening a picture."""

from pathlib import Path

from shiftlens.core.manifest import digest
from shiftlens.data.sample import Sample, Samples


def signature(samples: Samples) -> str:
    """Digest of the samples, and of size and time of change of every picture's file.

    It is to ``Samples.fingerprint`` what ``make`` is to reading every file: a picture that was
    replaced by one of equal size within the clock's grain, or with its time set back, escapes. A
    picture that was only touched changes it.
    """
    return digest([_described(sample) for sample in samples])


def _described(sample: Sample) -> list[object]:
    told = (sample.id, sample.prompt, sample.response, dict(sample.labels), sample.system)
    return [*told, sample.max_new_tokens, [_state_of(ref) for ref in sample.images]]


def _state_of(ref: str) -> list[object]:
    try:
        found = Path(ref).stat()
    except (OSError, ValueError):
        return [ref, "unreadable"]
    return [ref, found.st_size, found.st_mtime_ns]
