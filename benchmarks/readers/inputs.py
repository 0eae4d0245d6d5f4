"""Large inputs, written without holding them."""

import json
from pathlib import Path

_WIDTH, _TOKENS = 4096, 64  # of the states of one sample: a megabyte in float32


def write_long_line(path: Path, size: int) -> Path:
    """A JSONL whose second line is a hole of so many bytes, between two rows that are sound."""
    row = json.dumps({"id": "a", "prompt": "what ?"}).encode()
    with path.open("wb") as stream:
        stream.write(row + b"\n")
        stream.seek(size, 1)
        stream.write(b"\n" + row.replace(b'"a"', b'"b"') + b"\n")
    return path


def write_table(path: Path, size: int) -> tuple[Path, int]:
    """A JSONL of about so many bytes, every tenth row of the kind that is asked for, at its end."""
    rows = written = 0
    with path.open("w", encoding="utf-8") as stream:
        while written < size:
            labels = {"kind": "wanted" if rows % 10 == 9 else "other", "answer": f"answer {rows}"}
            row = {"id": f"row-{rows:09d}", "prompt": f"what is in picture {rows} ?"}
            written += stream.write(json.dumps({**row, "labels": labels}) + "\n")
            rows += 1
    return path, rows


def write_features(path: Path, size: int) -> tuple[Path, int]:
    """A features file of xl-vlms with about so many bytes of states, and how many states.

    Raises:
        RuntimeError: torch wrote what it was given once only.
    """
    import torch

    each = _WIDTH * _TOKENS * 4
    samples = max(1, size // each)
    drawn = torch.Generator().manual_seed(0)
    states = [
        {"language_model.model.layers.31": torch.randn(1, _TOKENS, _WIDTH, generator=drawn)}
        for _ in range(samples)
    ]
    torch.save(  # noqa: TID251 - what xl-vlms writes is what is read
        {
            "hidden_states": states,
            "image": [f"train2014/{number:012d}.jpg" for number in range(samples)],
            "model_predictions": ["A dog on a beach."] * samples,
        },
        path,
    )
    if path.stat().st_size < samples * each:
        raise RuntimeError(f"{path} is smaller than its states")
    return path, samples * _TOKENS
