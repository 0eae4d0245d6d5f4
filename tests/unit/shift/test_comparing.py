"""``compare``: from two stores to a shift that can be read, steered with and kept."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store, plant_shift

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import (
    GroundingError,
    LearnError,
    MismatchError,
    SteeringError,
    StoreError,
)
from shiftlens.models.model import Model
from shiftlens.shift.comparing import compare
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.shift.overlap import t_overlap
from shiftlens.shift.vectors import shift_vectors

K, LOST = 4, 30
OPTIONS = {"n_words": 5, "n_images": 2, "draws": 8}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ActivationStore]:
    """Base, tuned on the base's text, and tuned on its own text, where 30 samples lack the word."""
    folder = tmp_path_factory.mktemp("stores")
    base, forced, _ = plant_shift(d=32, k=K)
    own = forced + 0.3 * torch.randn(240, 32, generator=torch.Generator().manual_seed(5))
    ids = [f"s{i}" for i in range(240)]
    return {
        "base": build_store(folder / "base", base, ids=ids, shards=2),
        "forced": build_store(folder / "forced", forced, ids=ids, shards=3, text={"of": "base"}),
        "own": build_store(folder / "own", own[LOST:], ids=ids[LOST:]),
    }


@pytest.fixture
def shift(stores: dict[str, ActivationStore], tiny: Model) -> ConceptShift:
    return _compare(stores, tiny)


def _compare(stores: dict[str, ActivationStore], model: Model) -> ConceptShift:
    return compare(
        stores["base"],
        stores["own"],
        KMeans(k=K),
        readouts=(model.readout, model.readout),
        on_base_text=stores["forced"],
        **OPTIONS,
    )


def test_vectors_come_from_the_base_s_text(
    shift: ConceptShift, stores: dict[str, ActivationStore]
) -> None:
    base, forced = stores["base"].states(), stores["forced"].states()
    labels = shift.base.assign(base)
    torch.testing.assert_close(shift.vectors, shift_vectors(base, forced, labels, K))
    assert shift.rows == {"base": 240, "tuned": 210, "paired": 240}
    assert shift.shares is not None
    assert shift.shares["weights"] > 0.9
    assert sum(shift.shares.values()) == pytest.approx(1.0)
    assert list(shift.labels.values()) == labels.tolist()


def test_without_it_they_come_from_each_model_s_own(
    stores: dict[str, ActivationStore], tiny: Model
) -> None:
    readouts = (tiny.readout, tiny.readout)
    found = compare(stores["base"], stores["own"], KMeans(k=K), readouts=readouts, **OPTIONS)
    assert found.rows["paired"] == 210
    assert found.shares is None
    assert found.recovery_own_text is None
    assert sum(found.base.sizes) == 210
    assert max(found.lost) > 0


def test_swapped_texts_are_refused(stores: dict[str, ActivationStore], tiny: Model) -> None:
    swapped = {**stores, "own": stores["forced"], "forced": stores["own"]}
    with pytest.raises(MismatchError, match="another model's text"):
        _compare(swapped, tiny)


def test_a_word_that_the_tuned_model_hardly_says_is_a_finding(
    stores: dict[str, ActivationStore], tiny: Model
) -> None:
    rare = {**stores, "own": stores["own"].at_rows([0, 1])}
    found = _compare(rare, tiny)
    assert found.recovery_own_text is None
    assert sum(found.lost) > 0.9 * K
    assert found.rows["tuned"] == 2


def test_what_became_of_each_concept(
    shift: ConceptShift, stores: dict[str, ActivationStore]
) -> None:
    changes = shift.changes()
    assert len(changes) == len(shift) == K
    assert sorted(one.partner for one in changes) == list(range(K))
    assert sum(one.share for one in changes) == pytest.approx(1.0)
    lost = sum(one.lost * shift.base.sizes[one.index] for one in changes)
    assert lost == pytest.approx(LOST, abs=1e-3)
    for one in changes:
        assert one.overlap == t_overlap(one.words_base, one.words_tuned)
        assert set(one.came) <= set(one.contrastive_tuned)
        assert not set(one.came) & set(one.contrastive_base)
        assert one.magnitude == pytest.approx(one.vector.norm)
        assert one.vector.direction.equal(shift.vectors[one.index])
        assert one.vector.layer == 0
        assert one.vector.provenance["model"] == {"weights": "weights"}
        assert len(one.words_shifted) == 5
        assert len(one.images_base) == 2


def test_a_concept_is_found_by_number_and_word(shift: ConceptShift) -> None:
    head = shift.base.contrastive[1][0]
    heads = [words[0] for words in shift.base.contrastive]
    if heads.count(head) == 1:
        assert shift[head].index == 1
    assert shift[2].index == 2
    with pytest.raises(GroundingError, match="no concept says 'xylophone'"):
        shift["xylophone"]


def test_the_same_call_gives_the_same_bits(
    shift: ConceptShift, stores: dict[str, ActivationStore], tiny: Model, tmp_path: Path
) -> None:
    shift.save(tmp_path / "one")
    _compare(stores, tiny).save(tmp_path / "two")
    for ending in (".json", ".safetensors"):
        one, two = (tmp_path / f"{name}{ending}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_files_give_back_every_field(shift: ConceptShift, tmp_path: Path) -> None:
    shift.save(tmp_path / "s")
    found = ConceptShift.load(tmp_path / "s")
    assert found.vectors.equal(shift.vectors)
    assert found.tuned.vectors.equal(shift.tuned.vectors)
    assert found.base.to_data() == shift.base.to_data()
    plain = "nearest bijective cosine consistency shifted_words lost rows recovery shares labels"
    plain += " spectrum published recovery_own_text flow concept_shares"
    for name in plain.split():
        assert getattr(found, name) == getattr(shift, name), name
    data = bytearray((tmp_path / "s.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "s.safetensors").write_bytes(bytes(data))
    with pytest.raises(StoreError):
        ConceptShift.load(tmp_path / "s")


def test_stores_of_other_data_or_another_site_are_refused(
    stores: dict[str, ActivationStore], tiny: Model, tmp_path: Path
) -> None:
    _, tuned, _ = plant_shift(d=32, k=K)
    other = build_store(tmp_path / "data", tuned, data="other data")
    layer = build_store(tmp_path / "layer", {3: tuned})
    readouts = (tiny.readout, tiny.readout)
    with pytest.raises(MismatchError, match="differ in their data: data and other data"):
        compare(stores["base"], other, KMeans(k=K), readouts=readouts)
    with pytest.raises(MismatchError, match="differ in their site"):
        compare(stores["base"], layer, KMeans(k=K), readouts=readouts)
    with pytest.raises(LearnError):
        compare(stores["base"], stores["own"], KMeans(k=230), readouts=readouts)


def test_the_same_model_twice_is_refused(tmp_path: Path, tiny: Model) -> None:
    base, _, _ = plant_shift(d=32, k=K)
    model = {"architecture": "Llava", "weights": "a", "tokenizer": "t"}
    first = build_store(tmp_path / "one", base, model=model)
    second = build_store(tmp_path / "two", base, model=model)
    with pytest.raises(MismatchError, match="hold the same model twice"):
        _pairwise(first, second, tiny)


def test_models_with_other_tokenizers_are_refused(tmp_path: Path, tiny: Model) -> None:
    base, forced, _ = plant_shift(d=32, k=K)
    first = build_store(tmp_path / "one", base, model={"weights": "a", "tokenizer": "t"})
    second = build_store(tmp_path / "two", forced, model={"weights": "b", "tokenizer": "u"})
    with pytest.raises(MismatchError, match="other tokenizers"):
        _pairwise(first, second, tiny)


def test_too_few_common_samples_are_refused_with_the_number_that_is_needed(
    tmp_path: Path, tiny: Model
) -> None:
    base, forced, _ = plant_shift(d=32, k=K)
    first = build_store(tmp_path / "one", base[:60])
    later = [f"s{i}" for i in range(55, 115)]
    second = build_store(tmp_path / "two", forced[55:115], ids=later)
    with pytest.raises(LearnError, match=r"(?s)5 common pictures only.*at least 12 for 4"):
        _pairwise(first, second, tiny)
    disjoint = build_store(tmp_path / "three", forced[:60], ids=[f"t{i}" for i in range(60)])
    with pytest.raises(MismatchError, match="share no sample"):
        _pairwise(first, disjoint, tiny)


def test_models_of_another_width_are_refused(tmp_path: Path, tiny: Model) -> None:
    base, forced, _ = plant_shift(d=32, k=K)
    first = build_store(tmp_path / "one", base)
    second = build_store(tmp_path / "two", forced[:, :16])
    with pytest.raises(MismatchError, match="32 wide in one model and 16 in the other"):
        _pairwise(first, second, tiny)


def _pairwise(first: ActivationStore, second: ActivationStore, model: Model) -> ConceptShift:
    readouts = (model.readout, model.readout)
    return compare(first, second, KMeans(k=K), readouts=readouts, **OPTIONS)


def test_the_flow_counts_every_paired_sample_once(shift: ConceptShift) -> None:
    assert shift.flow is not None
    counts = torch.tensor(shift.flow["counts"])
    assert counts.shape == (K, K)
    assert counts.sum(dim=1).tolist() == list(shift.base.sizes)
    assert counts.sum(dim=0).tolist() == list(shift.tuned.sizes)


def test_weights_and_text_of_each_concept_sum_to_its_shift(shift: ConceptShift) -> None:
    assert shift.concept_shares is not None
    assert len(shift.concept_shares) == K
    for one in shift.concept_shares:
        assert one is not None
        assert sum(one.values()) == pytest.approx(1, abs=1e-6)


def test_the_spectrum_tells_common_and_own_directions_apart(shift: ConceptShift) -> None:
    assert shift.spectrum is not None
    whole, own = shift.spectrum["whole"], shift.spectrum["own"]
    assert len(whole["values"]) == K
    assert own["values"][0] < whole["values"][0]
    assert 1 <= whole["effective_rank"] <= K


def test_a_shift_behind_the_final_norm_can_be_read_and_not_steered_with(
    stores: dict[str, ActivationStore], tiny: Model
) -> None:
    for store in stores.values():
        store.provenance["site"]["normed"] = True
    try:
        found = _compare(stores, tiny)
        plain = found.base.vectors @ tiny.readout.head.weight.T
        assert len(found.changes()) == K
        best = tiny.tokenizer.convert_ids_to_tokens(plain.argmax(dim=1).tolist())
        said = zip(best, found.base.words, strict=True)
        # Read by the unembedding alone: the likeliest token leads, wherever it is a word.
        assert all(words[0] == token for token, words in said if token in words)
        assert any(token in words for token, words in zip(best, found.base.words, strict=True))
        with pytest.raises(SteeringError, match="behind the final norm"):
            found[0].vector  # noqa: B018
    finally:
        for store in stores.values():
            del store.provenance["site"]["normed"]
