"""Results of finished stages, found again when, and only when, nothing that they depend on changed.

A stage is a name, a key (the digest of everything that decides its result) and a JSON result. The
file appears in one step at the end of the stage: a killed run leaves the stages that it finished.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import digest, read_json, write_json

Result = dict[str, Any]


@dataclass
class StageCache:
    """The finished stages of one run.

    Attributes:
        root: the run's directory.
        reused: names of the stages that were taken from the disk this time.
        computed: names of the stages that were computed this time.
    """

    root: Path
    reused: list[str] = field(default_factory=list[str])
    computed: list[str] = field(default_factory=list[str])
    _seconds: dict[str, float] = field(default_factory=dict[str, float])

    def run(self, name: str, inputs: Any, compute: Callable[[], Result]) -> Result:
        """Return the stage's result, computing it only when its inputs are new.

        Args:
            name: of the stage; also the name of its file.
            inputs: JSON value of everything that decides the result.
            compute: does the work.
        """
        key = digest(inputs)
        found = self._find(name, key)
        if found is not None:
            self.reused.append(name)
            self._seconds[name] = float(found["seconds"])
            return found["result"]
        # From here on artefacts beside the stage change: an old entry must not vouch for them.
        self._path(name).unlink(missing_ok=True)
        start = time.perf_counter()
        result = compute()
        self._seconds[name] = time.perf_counter() - start
        write_json(self._path(name), {"key": key, "seconds": self._seconds[name], "result": result})
        self.computed.append(name)
        return result

    def seconds(self, prefix: str) -> float:
        """How long the stages of that name (``prefix`` or ``prefix-...``) took when computed."""
        return sum(
            seconds
            for name, seconds in self._seconds.items()
            if name == prefix or name.startswith(f"{prefix}-")
        )

    def _path(self, name: str) -> Path:
        return self.root / "stages" / f"{name}.json"

    def _find(self, name: str, key: str) -> Result | None:
        path = self._path(name)
        if not path.exists():
            return None
        try:
            found = read_json(path)
        except StoreError:
            return None  # a damaged cache entry is worth no more than a missing one
        return found if isinstance(found, dict) and found.get("key") == key else None
