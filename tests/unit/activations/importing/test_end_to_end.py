"""A user who moves: the same states by file and by harvest give the same concepts."""

from pathlib import Path

import pytest
import torch
from tests.unit.activations.importing.files import write_features

import shiftlens as sl
from shiftlens.activations.importing.importing import import_features
from shiftlens.activations.store import ActivationStore
from shiftlens.models.model import Model
from shiftlens.world.source import materialise

_WORDS = ("person", "man", "woman")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's people."""
    return materialise("people", tmp_path_factory.mktemp("people"), n=24, seed=3).parent


@pytest.fixture
def harvested(folder: Path, base: Model, tmp_path: Path) -> ActivationStore:
    site = sl.Site(-1, sl.tokens.word(*_WORDS))
    return sl.harvest(base, sl.read(folder), site, tmp_path / "s", max_new_tokens=12, part_size=10)


def _as_file(store: ActivationStore, folder: Path, path: Path) -> Path:
    """What xl-vlms would have saved of the same run: every sample, with a mask."""
    states = dict(zip(store.sample_ids, store.states(), strict=True))
    samples = sl.read(folder)
    none = torch.zeros(store.states().shape[1])
    return write_features(
        path,
        [states.get(one.id, none)[None, None] for one in samples],
        module=f"language_model.model.layers.{store.layers[0]}",
        image=[one.images[0] for one in samples],
        model_predictions=[store.responses[one.id] for one in samples],
        token_of_interest_mask=[torch.tensor([one.id in states]) for one in samples],
    )


@pytest.mark.slow
def test_concepts_of_a_file_are_those_of_the_harvest(
    harvested: ActivationStore, folder: Path, base: Model, base_path: Path, tmp_path: Path
) -> None:
    path = _as_file(harvested, folder, tmp_path / "save_hidden_states_for_token_of_interest.pth")
    store = import_features(path, tmp_path / "i", model=str(base_path), words=_WORDS)
    assert store.provenance["model"] == harvested.provenance["model"]
    assert store.site == harvested.site
    assert torch.equal(store.states(), harvested.states())
    mine, theirs = (
        sl.ground(sl.learn(one, sl.KMeans(k=3, seed=0)), one, base.readout, n_words=8)
        for one in (store, harvested)
    )
    assert torch.equal(mine.vectors, theirs.vectors)
    assert (mine.words, mine.contrastive) == (theirs.words, theirs.contrastive)
    assert any(mine.words[0])
    names = {one.id: Path(one.images[0]).name for one in sl.read(folder)}
    assert mine.images == tuple(tuple(names[i] for i in ids) for ids in theirs.images)
    vector = mine.vectors[0] - mine.vectors[1]
    assert float(vector.norm()) > 0
    explained = sl.explain(
        base, sl.read(folder)[0], None, mine, store=store, n_maps=0, max_new_tokens=8
    )
    assert explained.response


@pytest.mark.slow
def test_twin_other_states_give_other_concepts(
    harvested: ActivationStore, folder: Path, base_path: Path, tmp_path: Path
) -> None:
    path = _as_file(harvested, folder, tmp_path / "f.pth")
    store = import_features(path, tmp_path / "i", model=str(base_path), words=_WORDS)
    fewer = sl.learn(store.at_rows(range(len(store) // 2)), sl.KMeans(k=3, seed=0))
    assert not torch.equal(fewer.vectors, sl.learn(harvested, sl.KMeans(k=3, seed=0)).vectors)
