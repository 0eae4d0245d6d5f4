"""Stores on an object store: a real S3 interface on this machine, byte for byte as on a disk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.info import info
from shiftlens.activations.manifest import Manifest, read_manifest
from shiftlens.activations.row_tables import RowTables
from shiftlens.activations.shards import Shards
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.verifying import verify
from shiftlens.cli.main import run_app
from shiftlens.core.errors import MachineError, MismatchError, StoreError
from shiftlens.core.places import Kept, Remote
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

pytestmark = pytest.mark.slow

SITE = Site((1, -1), tokens.mean_response())
OPTIONS: dict[str, Any] = {"max_new_tokens": 4, "batch_size": 1, "part_size": 2}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def far(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Remote:
    """A folder in a bucket of its own."""
    import fsspec

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SHIFTLENS_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{abs(hash(request.node.name)) % 10**9}"
    fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True).mkdir(bucket)
    return Remote(f"s3://{bucket}/runs/dog")


@pytest.fixture
def samples(questions: list[Sample]) -> Samples:
    return Samples(questions)


@pytest.fixture
def whole(tiny: Model, samples: Samples, tmp_path: Path) -> ActivationStore:
    """The same harvest on a disk."""
    return harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)


def _bytes(far: Remote) -> dict[str, bytes]:
    return {name: far.read_bytes(name) for name in far.sizes()}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


class _Stopping(Silent):
    """Interrupts after so many samples."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_harvest_is_the_same_as_on_a_disk(
    tiny: Model, samples: Samples, far: Remote, whole: ActivationStore, tmp_path: Path
) -> None:
    store = harvest(tiny, samples, SITE, far.url, **OPTIONS)
    assert _bytes(far) == _files(whole.path)
    assert not list((tmp_path / "cache" / "runs").rglob("*.safetensors"))
    assert not list((tmp_path / "cache" / "runs").rglob("*.parquet"))
    assert store.fingerprint == whole.fingerprint
    again = ActivationStore.open(far.url)
    assert len(again) == len(whole)
    for layer in whole.layers:
        assert torch.equal(again.states(layer), whole.states(layer))
    assert again.rows == whole.rows
    assert torch.equal(again.gather([3, 0], 1), whole.gather([3, 0], 1))
    assert ActivationStore.open(again.path).fingerprint == whole.fingerprint
    again.verify()


def test_interrupted_and_gone_on_with(
    tiny: Model, samples: Samples, far: Remote, whole: ActivationStore
) -> None:
    for after in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            harvest(tiny, samples, SITE, far.url, progress=_Stopping(after), **OPTIONS)
    found = read_manifest(far.url)
    assert 0 < len(found.parts) < found.n_parts
    assert found.open
    with pytest.raises(StoreError, match=f"{far.url} is unfinished"):
        ActivationStore.open(far.url)
    assert info(far.url).parts == len(found.parts)
    assert [one.kind for one in verify(far.url).faults] == ["unfinished"]
    written = {name: data for name, data in _bytes(far).items() if name.startswith("shard")}
    harvest(tiny, samples, SITE, far.url, **OPTIONS)
    assert _bytes(far) == _files(whole.path)
    assert written.items() <= _files(whole.path).items()


def test_shares_on_several_machines(
    tiny: Model,
    samples: Samples,
    far: Remote,
    whole: ActivationStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each machine has a folder of its own for copies; the last one to end finishes the store."""
    for share in ((2, 2), (1, 2)):
        monkeypatch.setenv("SHIFTLENS_CACHE", str(tmp_path / f"machine-{share[0]}"))
        store = harvest(tiny, samples, SITE, far.url, part=share, **OPTIONS)
        assert store.complete == (share == (1, 2))
    assert _bytes(far) == _files(whole.path)


@pytest.mark.parametrize("moment", ["put", "write_bytes"])
def test_a_place_that_fails_loses_nothing(
    tiny: Model,
    samples: Samples,
    far: Remote,
    whole: ActivationStore,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    real: Callable[..., None] = getattr(Remote, moment)
    calls = 0

    def fail(self: Remote, *given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise MachineError("the network is gone")
        real(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, moment, fail)
        with pytest.raises(MachineError, match="the network is gone"):
            harvest(tiny, samples, SITE, far.url, **OPTIONS)
    assert len(read_manifest(far.url).parts) == 1
    harvest(tiny, samples, SITE, far.url, **OPTIONS)
    assert _bytes(far) == _files(whole.path)


def test_a_store_of_something_else_is_refused(tiny: Model, samples: Samples, far: Remote) -> None:
    harvest(tiny, samples, SITE, far.url, **OPTIONS)
    before = _bytes(far)
    with pytest.raises(MismatchError, match=f"{far.url} holds a store with another options"):
        harvest(tiny, samples, SITE, far.url, **OPTIONS | {"max_new_tokens": 3})
    assert _bytes(far) == before


def test_damage_far_away_is_found(
    tiny: Model, samples: Samples, far: Remote, whole: ActivationStore
) -> None:
    harvest(tiny, samples, SITE, far.url, **OPTIONS)
    assert verify(far.url).sound
    data = far.read_bytes("shard-00001.safetensors")
    far.write_bytes("shard-00001.safetensors", data[:-8])
    far.remove(["rows-00000.parquet"])
    found = {(one.kind, one.file) for one in verify(far.url).faults}
    assert {("truncated", "shard-00001.safetensors"), ("missing", "rows-00000.parquet")} <= found
    with pytest.raises(StoreError, match=f"{far.url}/shard-00001.safetensors is missing or dam"):
        ActivationStore.open(far.url).states(1)
    harvest(tiny, samples, SITE, far.url, **OPTIONS)
    assert ("truncated", "shard-00001.safetensors") in {
        (one.kind, one.file) for one in verify(far.url).faults
    }, "a harvest looks whether files are there, verify at what is in them"
    assert _bytes(far)["rows-00000.parquet"] == _files(whole.path)["rows-00000.parquet"]


def test_several_models_and_the_command_line(
    base_path: Path,
    adapter_path: Path,
    far: Remote,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["harvest", str(base_path), "world:people", "--tuned", str(adapter_path), "-n", "4"]
    assert run_app([*words, "--max-new-tokens", "4", "-o", far.url]) == 0
    assert f"store  {far.url}/base" in capsys.readouterr().out
    assert run_app(["store", "info", far.url]) == 0
    said = capsys.readouterr().out
    assert f"{far.url}/base" in said
    assert f"{far.url}/tuned" in said
    assert run_app(["store", "verify", far.url]) == 0
    assert capsys.readouterr().out.count("sound: 2 files") == 2
    both = [ActivationStore.open(f"{far.url}/{name}") for name in ("base", "tuned")]
    assert both[0].sample_ids == both[1].sample_ids
    twice = ActivationStore.concatenate([both[0], both[0]])
    assert torch.equal(twice.states(), both[0].states().repeat(2, 1))
    assert run_app(["store", "info", far.url + "-none"]) == 2
    assert not [one for one in Path.cwd().iterdir() if one.name.startswith("s3:")]


def test_what_does_not_write_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="this store cannot be written to s3:/bucket/run"):
        Manifest(Path("s3://bucket/run"), {}, {}, 1)


def test_a_bucket_that_is_misspelt_is_not_made(tiny: Model, samples: Samples, far: Remote) -> None:
    for verb in ("info", "verify"):
        assert run_app(["store", verb, "s3://no-such-bucket-at-all/run"]) == 2
    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"s3://no-such-bucket-at-all/run/manifest.json is miss"
        ):
            harvest(tiny, samples, SITE, "s3://no-such-bucket-at-all/run", **OPTIONS)


def test_a_place_that_cannot_be_reached_is_not_an_empty_one(
    far: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    gone = Kept(far, "shard-00000.safetensors", "0" * 64)
    for ask in (
        lambda: far.exists("manifest.json"),
        far.sizes,
        lambda: far.read_bytes("x"),
        lambda: Shards([(gone, 3)]).tensor(0, "layer.0"),
        lambda: list(RowTables((gone,), (3,)).entries(["state"])),
    ):
        with pytest.raises(MachineError, match="check the address, and the credentials"):
            ask()
    S3FileSystem.clear_instance_cache()
