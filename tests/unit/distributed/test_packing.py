"""What leaves the process, and that the models stay as they were."""

from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.unit.distributed import work

from shiftlens.activations.job import Job
from shiftlens.activations.parts import harvest_part
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError, MachineError
from shiftlens.core.executor import Executor
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample
from shiftlens.distributed.arrival import require_arrived
from shiftlens.distributed.packing import pack, without_recorders
from shiftlens.distributed.ray_executor import RayExecutor
from shiftlens.models.model import Model


class Loud(Silent):
    """Somebody who listens."""


def _job(*models: Model, root: str = "runs/out") -> Job:
    roots = tuple(Path(root) / one.label for one in models)
    return Job(models, roots, Site(-1), "own", 4, 2, Loud())


def _hooks(hf: Any) -> dict[str, list[int]]:
    return {name: list(module._forward_hooks) for name, module in hf.named_modules()}


def test_the_listener_stays_and_paths_are_whole(pair: tuple[Model, Model]) -> None:
    job = _job(*pair)
    package = pack(partial(harvest_part, job))
    assert package.listener is job.progress
    sent = package.function.args[0]  # pyright: ignore[reportFunctionMemberAccess]
    assert type(sent.progress) is Silent
    assert sent.roots == tuple(Path.cwd() / root for root in job.roots)
    assert sent.models == job.models
    assert len(package.modules) == 1, "a pair on one module is sent once"
    assert package.size == sum(
        tensor.nbytes for part in (pair[0].hf.parameters(), pair[0].hf.buffers()) for tensor in part
    )
    samples = [Sample(name, "what") for name in ("a", "b", "c")]
    assert package.samples((4, samples)) == 3
    assert package.name((4, samples)) == "part 4 (3 samples, 'a' to 'c')"


def test_twin_any_other_function_is_sent_as_it_is() -> None:
    package = pack(work.square)
    assert package.function is work.square
    assert (package.modules, package.size, package.device) == ((), 0, "cpu")
    assert (package.samples(3), package.name(3)) == (1, "part 3")


def test_transformers_own_hooks_are_out_for_a_moment(base: Model) -> None:
    before = _hooks(base.hf)
    assert any(before.values()), "the model was asked for hidden states when it was loaded"
    with without_recorders([base.hf]):
        assert not any(_hooks(base.hf).values())
    assert _hooks(base.hf) == before
    with suppress(ZeroDivisionError), without_recorders([base.hf]):
        raise ZeroDivisionError
    assert _hooks(base.hf) == before


def test_a_hook_of_the_user_s_is_not_taken_out(base: Model) -> None:
    before = _hooks(base.hf)
    handle = base.hf.register_forward_hook(lambda *_: None)
    try:
        with without_recorders([base.hf]):
            assert [ids for ids in _hooks(base.hf).values() if ids] == [[handle.id]]
    finally:
        handle.remove()
    assert _hooks(base.hf) == before


def test_whose_turn_it_is_does_not_travel(pair: tuple[Model, Model]) -> None:
    tenancy = pair[1].tenancy
    with pair[1].active():
        with without_recorders([pair[1].hf]):
            hf, other = deepcopy((pair[1].hf, tenancy))
    layers = [layer for found in other.modules("default").values() for layer in found]
    assert len(layers) == sum(map(len, tenancy.modules("default").values())) > 0
    assert set(map(id, layers)) <= set(map(id, hf.modules())), "they are the copy's own layers"
    assert other._owner is None


def test_a_model_in_several_places_is_refused(tiny: Model) -> None:
    tiny.hf.hf_device_map = {"model": "cpu", "lm_head": "meta"}
    try:
        with pytest.raises(DataError, match="is split over devices") as caught:
            pack(partial(harvest_part, _job(tiny)))
    finally:
        del tiny.hf.hf_device_map
    assert "--part" in caught.value.remedy
    pack(partial(harvest_part, _job(tiny)))  # twin


def test_models_on_the_cpu_and_workers_with_gpus_do_not_go_together(tiny: Model) -> None:
    function = partial(harvest_part, _job(tiny))
    executor = RayExecutor(1, gpus_per_worker=0.5)
    assert isinstance(executor, Executor)
    with pytest.raises(DataError, match=r"the models are on cpu, and workers are given 0\.5 GPUs"):
        list(executor.map(function, [(0, [])]))


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"cpus_per_worker": 0},
        {"gpus_per_worker": -1},
        {"deaths": 0},
        {"threads": 0},
    ],
)
def test_numbers_that_are_not_possible(options: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        RayExecutor(**options)


def test_files_that_are_not_seen_from_here_do_not_count(tmp_path: Path) -> None:
    entry = {"shard": "shard-00000.safetensors", "rows": "rows-00000.parquet"}
    (tmp_path / entry["shard"]).touch()
    with pytest.raises(MachineError, match=r"worker 7 on b has written .*rows-00000\.parquet"):
        require_arrived([tmp_path], [entry], "7 on b", patience=0.0)
    (tmp_path / entry["rows"]).touch()
    require_arrived([tmp_path], [entry], "7 on b", patience=0.0)  # twin
    require_arrived(["s3://bucket/run"], [entry], "7 on b", patience=0.0)
