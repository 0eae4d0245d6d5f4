"""``discover``: a planted direction is found and named; where nothing is planted, nothing is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from shiftlens.activations.capture import catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import MismatchError, SteeringError, StoreError
from shiftlens.data.images import open_image
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn
from shiftlens.steering import discovering
from shiftlens.steering.discovering import FILE, Discovery, discover
from shiftlens.steering.outcomes import is_answer
from shiftlens.steering.searching import asking
from shiftlens.world.source import materialise

LAYER, NEW = 4, 2


def _concepts(vectors: torch.Tensor, **words: Any) -> Concepts:
    site, sizes = Site(LAYER, last_prompt()), (9,) * len(vectors)
    return Concepts(vectors, "centroid", site, sizes, **words)


@pytest.fixture(scope="module")
def questions_of_world(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return read(materialise("yesno", tmp_path_factory.mktemp("world"), n=64, seed=7))


@pytest.fixture(scope="module")
def planted(_pair: tuple[Model, Model], questions_of_world: Samples) -> Concepts:
    """Three concepts: where "yes" is said, where "no" is, and as far from it as those two a mix."""
    model, samples = _pair[0], questions_of_world[:40]
    turns = [Turn(s.prompt, (open_image(s.images[0]),)) for s in samples]
    caught = catch_own(model, turns, Site(LAYER, last_prompt()), NEW)
    states = caught.states[LAYER][:, 0]
    yes = torch.tensor([is_answer(r.text, "yes") for r in caught.responses])
    means = torch.stack([states[yes].mean(0), states[~yes].mean(0), states.mean(0)])
    return _concepts(means, words=(("yes",), ("no",), ("both",)))


@pytest.fixture(scope="module")
def found(
    _pair: tuple[Model, Model],
    planted: Concepts,
    questions_of_world: Samples,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Discovery, Path]:
    out = tmp_path_factory.mktemp("discover")
    samples = questions_of_world[40:]
    options: dict[str, Any] = {"n_random": 4, "max_new_tokens": NEW, "out": out}
    return discover(_pair[0], planted, samples, **options), out


def test_the_planted_direction_comes_first_and_has_its_name(
    found: tuple[Discovery, Path], planted: Concepts
) -> None:
    discovery = found[0]
    best = {(one.source, one.target) for one in discovery.directions[:2]}
    assert best == {(0, 1), (1, 0)}
    names = {one.name for one in discovery.directions}
    assert "concept 0 (yes) -> 1 (no): more 'no', fewer 'yes'" in names
    assert "concept 1 (no) -> 0 (yes): more 'yes', fewer 'no'" in names
    assert discovery.directions[0] in discovery.meaningful
    assert max(discovery.null) < discovery.directions[1].result.score
    assert len(discovery.null) == 4
    assert sum(discovery.before.values()) == discovery.n == 24
    first = discovery.directions[0]
    vector = discovery.vector(0, planted)
    expected = planted.vectors[first.target] - planted.vectors[first.source]
    assert torch.equal(vector.direction, expected.float())


def test_twin_directions_that_mean_nothing_do_not_beat_random_ones(
    base: Model, planted: Concepts, questions_of_world: Samples
) -> None:
    noise = torch.randn(3, planted.d, generator=torch.Generator().manual_seed(0))
    length = (planted.vectors[0] - planted.vectors[1]).norm()
    away = planted.vectors[:1] + torch.nn.functional.normalize(noise, dim=1) * length / 2**0.5
    nothing = discover(
        base, _concepts(away), questions_of_world[52:], n_random=6, max_new_tokens=NEW
    )
    assert len(nothing.meaningful) <= 1
    assert max(one.result.score for one in nothing.directions) < 4
    assert nothing.directions[0].name.startswith("concept ")


def test_it_is_read_back_and_not_asked_again(
    found: tuple[Discovery, Path],
    base: Model,
    planted: Concepts,
    questions_of_world: Samples,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    discovery, out = found
    assert Discovery.load(out / FILE) == discovery
    monkeypatch.setattr(asking, "generate", None)
    samples = questions_of_world[40:]
    again = discover(base, planted, samples, n_random=4, max_new_tokens=NEW, out=out)
    assert again == discovery


def test_the_table_and_the_summary_tell_it(found: tuple[Discovery, Path]) -> None:
    discovery = found[0]
    rows = discovery.table()
    assert len(rows) == 6
    assert rows[0]["score"] == discovery.directions[0].result.score
    assert {rows[0]["more"], rows[1]["more"]} == {"yes", "no"}
    text = discovery.summary(shown=1)
    assert "of 6 directions score above all random ones" in text
    assert "4 random directions" in text
    assert text.count("concept ") == 1


def test_another_document_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"kind": "search", "schema": 1}')
    with pytest.raises(StoreError, match="holds 'search' of schema 1"):
        Discovery.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 1}, "1 concept has no direction"),
        ({"samples": []}, "no samples to ask"),
        ({"top": 1}, "the 1 best answers"),
        ({"n_random": 0}, "against 0 random directions"),
        ({"scope": "nowhere"}, "nowhere"),
        ({"strength": float("nan")}, "not a finite number"),
    ],
)
def test_what_cannot_be_is_refused(
    tiny: Model, questions: list[Sample], change: dict[str, Any], message: str
) -> None:
    options = dict(change)
    vectors = torch.randn(options.pop("k", 3), 32, generator=torch.Generator().manual_seed(0))
    concepts = Concepts(vectors, "centroid", Site(1), (1,) * len(vectors))
    samples = Samples(options.pop("samples", questions))
    with pytest.raises(SteeringError, match=message):
        discover(tiny, concepts, samples, **options)


def test_concepts_of_another_width_are_refused(tiny: Model, questions: list[Sample]) -> None:
    concepts = Concepts(torch.eye(3, 31), "centroid", Site(1), (1, 1, 1))
    with pytest.raises(MismatchError, match="has 31 entries"):
        discover(tiny, concepts, Samples(questions))


def test_random_directions_are_as_long_as_the_directions(
    tiny: Model, questions: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[float] = []
    real = discovering.random_like

    def spy(vector: Any, seed: int) -> Any:
        made = real(vector, seed)
        lengths.append(made.norm)
        return made

    monkeypatch.setattr(discovering, "random_like", spy)
    vectors = torch.diag(torch.tensor([0.0, 3.0, 4.0]))
    padded = torch.nn.functional.pad(vectors, (0, 29))
    concepts = Concepts(padded, "centroid", Site(1), (1, 1, 1))
    discover(tiny, concepts, Samples(questions), n_random=3, max_new_tokens=NEW)
    assert lengths == pytest.approx([3.0, 4.0, 5.0])
