"""Where a shift sits: on the shipped pair, and on pairs whose shift is known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.shift.parts import thirds
from shiftlens.study.diff.where import SITE, where_it_sits
from shiftlens.world.source import materialise

LAYER, NEW = 4, 12
SELECTION = tokens.mean_response()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return read(materialise("captions", tmp_path_factory.mktemp("world"), n=60, seed=3))


class _Harvests:
    """What ``diff`` gives: harvests of some samples on the base's text, counted."""

    def __init__(self, base: Model, samples: Samples, root: Path) -> None:
        said = base.respond(list(samples), max_new_tokens=NEW)
        self.said = {sample.id: one for sample, one in zip(samples, said, strict=True)}
        self.samples, self.root, self.seen = samples, root, {}

    def at(
        self, models: Sequence[Model], site: Site, name: str, ids: Sequence[str]
    ) -> list[ActivationStore]:
        self.seen[name.rpartition("-")[0]] = (len(models), ids)
        some = self.samples.where(lambda sample: sample.id in set(ids))
        return harvest(
            list(models), some, site, self.root / name,
            response="base", said=self.said, max_new_tokens=NEW, allow_empty=True,
        )  # fmt: skip


def _where(
    models: tuple[Model, Model], samples: Samples, root: Path, **options: Any
) -> tuple[dict[str, Any], _Harvests]:
    harvests = _Harvests(models[0], samples, root)
    site = Site(LAYER, options.pop("selection", SELECTION))
    stores = harvests.at(models, site, "site-0", [sample.id for sample in samples])
    groups = [row.image or row.sample_id for row in stores[0].rows]
    parts = thirds(groups)
    learned = KMeans(k=2).fit(stores[0].states()[torch.from_numpy(parts.estimation)])
    found = where_it_sits(
        models, (stores[0], stores[1]), parts, LAYER, learned, harvests.at,
        **{"draws": 40, "n_roles": 40, "n_modules": 8, **options},
    )  # fmt: skip
    return found, harvests


@pytest.mark.slow
def test_roles_and_modules_of_the_shipped_pair(
    pair: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    found, harvests = _where(pair, samples, tmp_path)
    roles = {one["role"]: one for one in found["roles"]}
    assert list(roles) == [
        "image tokens", "prompt text", "last prompt token", "response", SITE,
    ]  # fmt: skip
    for one in roles.values():
        assert one["n"] == 20
        assert one["moved"]["low"] <= one["moved"]["estimate"] <= one["moved"]["high"]
        assert one["moved"]["estimate"] > 0.05
    assert roles["response"]["moved"] == roles[SITE]["moved"], "the site is the response"
    assert roles["image tokens"]["moved"] != roles["prompt text"]["moved"]
    modules = found["modules"]
    assert modules["n"] == 8
    kinds = {one["group"]: one for one in modules["by_kind"]}
    assert sorted(kinds) == sorted(
        "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()
    )
    assert {one["modules"] for one in modules["by_kind"]} == {6}
    assert [one["group"] for one in modules["by_block"]] == [f"block {i}" for i in range(6)]
    last = modules["by_block"][5]  # block 5 comes after the judged one: nothing of it is seen there
    assert last["remaining"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    assert last["alone"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert last["cosine_alone"] == {"estimate": None, "low": None, "high": None}
    for one in modules["by_block"][:5]:
        assert one["remaining"]["estimate"] != 1.0
        assert one["alone"]["estimate"] > 0
    for axis in ("by_kind", "by_block"):
        removed = sum(1 - one["remaining"]["estimate"] for one in modules[axis])
        assert modules["sums"][axis]["removed"] == pytest.approx(removed)
    # One pass for the two models and both sides of 7 kinds and 6 blocks.
    assert harvests.seen["where/modules"][0] == 2 + 2 * (7 + 6)
    assert "where/response" not in harvests.seen
    # Nothing was chosen by the samples that are looked at, and half of them taught the concepts.
    looked = set(harvests.seen["where/image-tokens"][1])
    held = thirds([sample.images[0] for sample in samples])
    shares = [len(looked & {samples[i].id for i in part.tolist()})
              for part in (held.selection, held.estimation, held.judging)]  # fmt: skip
    assert shares == [0, 20, 20]
    assert set(harvests.seen["where/modules"][1]) <= looked


@pytest.mark.slow
def test_the_order_of_the_samples_decides_nothing(
    pair: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    few = samples[:24]
    mixed = Samples(list(few)[::-1], root=few.root)
    options: dict[str, Any] = {"n_roles": 10, "n_modules": 3, "draws": 20}
    mine, _ = _where(pair, few, tmp_path / "a", **options)
    theirs, _ = _where(pair, mixed, tmp_path / "b", **options)
    for left, right in zip(mine["roles"], theirs["roles"], strict=True):
        assert left["moved"] == pytest.approx(right["moved"], abs=2e-3)
    for left, right in zip(mine["modules"]["by_block"], theirs["modules"]["by_block"], strict=True):
        assert left["remaining"] == pytest.approx(right["remaining"], abs=2e-3)
    other, _ = _where(pair, few, tmp_path / "c", **options, seed=1)  # twin: other pictures
    assert other["roles"][0]["moved"] != pytest.approx(mine["roles"][0]["moved"], abs=2e-3)


def test_a_model_without_an_adapter_has_roles_only(
    pair: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    base, tuned = pair
    found, _ = _where((base, replace(tuned, adapter_on=False)), samples[:24], tmp_path)
    assert found["modules"] is None
    assert found["reason"] == "the fine-tune has no adapter to switch off in part"
    assert {one["moved"]["estimate"] for one in found["roles"]} == {0.0}


@pytest.mark.slow
def test_models_that_do_not_differ_at_the_site_have_no_shares(
    pair: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    base, tuned = pair
    off = tuned.without_modules(tuned.adapter_modules(), label="off")
    found, _ = _where((base, off), samples[:24], tmp_path, n_roles=8, n_modules=4, draws=20)
    assert found["modules"] is None
    assert "not larger than its noise" in found["reason"]


def test_roles_that_samples_do_not_have_say_so(
    pair: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    bare = Samples([Sample(f"t{i}", f"Is there a {w} ?") for i, w in enumerate(_things())])
    selection = tokens.last_prompt()
    found, _ = _where(pair, bare, tmp_path, selection=selection, n_roles=8, n_modules=4, draws=20)
    image = found["roles"][0]
    assert image == {
        "role": "image tokens", "n": 0, "moved": None, "own": None,
        "reason": "no sample has such tokens",
    }  # fmt: skip
    assert found["roles"][1]["moved"]["estimate"] > 0


def _things() -> list[str]:
    return "dog cat bird horse man woman boy girl car bus bed tree".split()
