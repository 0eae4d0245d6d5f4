"""``harvest``: the right states of the right samples, counted, paired and resumed."""

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from shiftlens.activations import harvesting, parts, tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore, paired
from shiftlens.core.errors import DataError, MismatchError, SiteError, StoreError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import forward
from shiftlens.models.hooks import record
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import encode

NEW = 7


@pytest.fixture
def samples(questions: list[Sample]) -> Samples:
    return Samples([replace(s, labels={"number": i}) for i, s in enumerate(questions)])


@pytest.fixture
def said(tiny: Model, samples: Samples) -> list[Response]:
    return tiny.respond(list(samples), max_new_tokens=NEW)


def _common(said: list[Response]) -> str:
    """A word that several responses hold before their last token, and not all of them."""
    counts = Counter(w for one in said for w in set(one.text.split()[:-1]) if w.isalpha())
    return max((w for w in counts if counts[w] < len(said)), key=lambda w: (counts[w], w))


def _trail(model: Model, sample: Sample, response: Response, layer: int) -> torch.Tensor:
    """States along one response, alone and without a cache: row 0 is the last prompt position."""
    inputs = encode(model, [sample], response_ids=[response.token_ids])
    with record(model, [layer]) as seen:
        forward(model, inputs)
    return seen.states[layer][0][0, inputs.prompt_width - 1 :]


def _close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("alignment", ["predict", "read"])
def test_states_are_those_at_the_word(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path, alignment: Any
) -> None:
    word = _common(said)
    site = Site(3, tokens.word(word, alignment=alignment))
    store = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW, batch_size=4)
    expected: dict[str, torch.Tensor] = {}
    for sample, response in zip(samples, said, strict=True):
        words = response.text.split()
        if word in words[:-1]:
            at = words.index(word) + (alignment == "read")
            expected[sample.id] = _trail(tiny, sample, response, 3)[at]
    assert store.sample_ids == list(expected)
    _close(store.states(), torch.stack(list(expected.values())))
    heads = tiny.readout.logits(store.states()).argmax(dim=1).tolist()
    emits = [tiny.tokenizer.decode([token]) == word for token in heads]
    # The state before the word says the word; the state at the word goes on.
    assert all(emits) if alignment == "predict" else not all(emits)


def test_matched_missed_and_failed_are_counted(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    """Truncated at every token in turn: a cut word fails, and no sample is lost."""
    word = _common(said)
    for limit in (1, 3, NEW):
        short = tiny.respond(list(samples), max_new_tokens=limit)
        wanted: Counter[str] = Counter()
        for one in short:
            words = one.text.split()
            cut = one.truncated and word in words and words.index(word) == len(words) - 1
            wanted["failed" if cut else "matched" if word in words else "missed"] += 1
        site, out = Site(-1, tokens.word(word)), tmp_path / str(limit)
        if not wanted["matched"]:
            with pytest.raises(DataError, match=f"holds {word!r}"):
                harvest(tiny, samples, site, out, max_new_tokens=limit)
            continue
        store = harvest(tiny, samples, site, out, max_new_tokens=limit)
        assert Counter(store.counts) == wanted
        assert len(store) == wanted["matched"]
        assert list(store.responses.values()) == [one.text for one in short]


def test_a_word_that_nobody_says_lists_what_was_said(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="none of 6 responses holds 'zebra' or 'yak'") as caught:
        harvest(tiny, samples, Site(-1, tokens.word("zebra", "yak")), tmp_path, max_new_tokens=NEW)
    assert "commonest words said: small, is, " in str(caught.value)


@pytest.mark.parametrize("kind", ["last_prompt", "first_response", "mean_response"])
def test_other_selections_of_several_layers(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path, kind: str
) -> None:
    site = Site((1, -1), getattr(tokens, kind)())
    store = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW)
    assert store.layers == (1, 3)
    for layer in (1, 3):
        for row, (sample, response) in enumerate(zip(samples, said, strict=True)):
            trail = _trail(tiny, sample, response, layer)
            ours = {
                "last_prompt": trail[0],
                "first_response": trail[1],
                "mean_response": trail[: len(response.token_ids)].mean(dim=0),
            }
            _close(store.states(layer)[row], ours[kind])
    with pytest.raises(SiteError, match=r"layers \[1, 3\]"):
        store.states()
    with pytest.raises(SiteError, match="layer 2 is not in"):
        store.states(2)


def test_the_mean_over_the_image_is_over_its_tokens(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    store = harvest(tiny, samples, Site(1, tokens.mean_image()), tmp_path / "s", max_new_tokens=2)
    for row, sample in enumerate(samples):
        inputs = encode(tiny, [sample])
        with record(tiny, [1]) as seen:
            forward(tiny, inputs)
        mask = inputs.tensors["input_ids"][0] == tiny.hf.config.image_token_id
        _close(store.states()[row], seen.states[1][0][0, mask].mean(dim=0))


def test_the_mean_over_the_prompt_is_over_its_text_alone(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    site = Site(1, tokens.mean_prompt())
    store = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW)
    known = dict(zip((sample.id for sample in samples), said, strict=True))
    given = harvest(tiny, samples, site, tmp_path / "g", said=known, max_new_tokens=NEW)
    _close(given.states(), store.states())
    for row, sample in enumerate(samples):
        inputs = encode(tiny, [sample])
        with record(tiny, [1]) as seen:
            forward(tiny, inputs)
        mask = inputs.tensors["input_ids"][0] != tiny.hf.config.image_token_id
        state = seen.states[1][0][0]
        _close(store.states()[row], state[mask].mean(dim=0))
        with pytest.raises(AssertionError):  # twin: with the picture it is another state
            _close(store.states()[row], state.mean(dim=0))


@pytest.mark.parametrize(("batch_size", "part_size"), [(1, 256), (4, 256), (2, 2), (5, 4), (32, 1)])
def test_batches_and_parts_decide_nothing(
    tiny: Model, samples: Samples, tmp_path: Path, batch_size: int, part_size: int
) -> None:
    site, options = Site(2, tokens.mean_response()), {"max_new_tokens": NEW}
    whole = harvest(tiny, samples, site, tmp_path / "one", **options)
    sizes = {"batch_size": batch_size, "part_size": part_size}
    store = harvest(tiny, samples, site, tmp_path / "two", **options, **sizes)
    assert store.rows == whole.rows
    _close(store.states(), whole.states())
    shards = list((tmp_path / "two").glob("shard-*.safetensors"))
    assert len(shards) == -(-6 // part_size)


def test_a_pair_on_the_base_s_text(
    base: Model, tuned: Model, questions: list[Sample], tmp_path: Path
) -> None:
    """The tuned model is given the base's tokens; the base is the same as alone."""
    site, samples = Site(2, tokens.mean_response()), Samples(questions)
    options: dict[str, Any] = {"max_new_tokens": 5}
    mine, theirs = harvest([base, tuned], samples, site, tmp_path / "p", response="base", **options)
    alone = harvest(base, samples, site, tmp_path / "a", **options)
    assert mine.responses == theirs.responses == alone.responses
    assert mine.fingerprint == alone.fingerprint
    assert (tmp_path / "p" / "base" / "manifest.json").exists()
    # An empty answer has no states: its sample counts as missed.
    said = zip(questions, base.respond(questions, max_new_tokens=5), strict=True)
    spoken = {sample.id: (sample, response) for sample, response in said if response.token_ids}
    assert theirs.sample_ids == list(spoken)
    for row, (sample, response) in enumerate(spoken.values()):
        trail = _trail(tuned, sample, response, 2)[: len(response.token_ids)]
        _close(theirs.states()[row], trail.mean(dim=0))
    assert not theirs.states().allclose(mine.states(), atol=1e-3)


def test_given_text_gives_the_states_of_that_text(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    """The model's own words, given to it, are the same as said by itself."""
    site = Site(-1, tokens.mean_response())
    texts = {s.id: one.text for s, one in zip(samples, said, strict=True)}
    if any("<unk>" in t or tiny.tokenizer.unk_token_id in one.token_ids
           for t, one in zip(texts.values(), said, strict=True)):  # fmt: skip
        texts = dict.fromkeys(texts, "a man on the beach")
    given = samples.with_responses(texts)
    store = harvest(tiny, given, site, tmp_path / "g", response="given", max_new_tokens=NEW)
    for row, sample in enumerate(given):
        ids = tiny.tokenizer.encode(sample.response or "", add_special_tokens=False)
        trail = _trail(tiny, sample, Response(sample.response or "", tuple(ids), False), 3)
        _close(store.states()[row], trail[: len(ids)].mean(dim=0))
    with pytest.raises(DataError, match="6 samples have no response to give, the first is 'q0'"):
        harvest(tiny, samples, site, tmp_path / "n", response="given")


def test_memory_that_runs_out_shrinks_the_batch(
    tiny: Model, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, sizes = Site(2, tokens.mean_response()), list[int]()
    whole = harvest(tiny, samples, site, tmp_path / "one", max_new_tokens=NEW)
    real = parts.catch_own

    def small(model: Model, turns: Any, *rest: Any, **named: Any) -> Any:
        sizes.append(len(turns))
        if len(turns) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, turns, *rest, **named)

    monkeypatch.setattr(parts, "catch_own", small)
    store = harvest(tiny, samples, site, tmp_path / "two", max_new_tokens=NEW)
    assert sizes == [6, 3, 1, 2, 3, 1, 2]
    assert store.rows == whole.rows
    _close(store.states(), whole.states())


def test_an_unreadable_picture_is_set_aside(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(samples[0].images[0]).read_bytes()[:60])
    gone = str(tmp_path / "gone.png")
    mixed = Samples(
        [samples[0], Sample("b", "what", (str(broken),)), Sample("g", "what", (gone,)), samples[1]]
    )
    store = harvest(tiny, mixed, Site(-1), tmp_path / "s", max_new_tokens=2)
    assert [entry["id"] for entry in store.quarantine] == ["b", "g"]
    assert "damaged" in store.quarantine[0]["reason"]
    assert "does not exist" in store.quarantine[1]["reason"]
    assert store.counts == {"matched": 2, "missed": 0, "failed": 2}
    assert store.sample_ids == ["q0", "q1"]
    with pytest.raises(DataError, match="none of 2 samples could be used"):
        harvest(tiny, mixed[1:3], Site(-1), tmp_path / "none", max_new_tokens=2)


def test_a_finished_store_is_not_harvested_again(
    tiny: Model, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, options = Site(-1), {"max_new_tokens": 2, "part_size": 2}
    store = harvest(tiny, samples, site, tmp_path / "s", **options)
    monkeypatch.setattr(parts, "catch_own", None)
    again = harvest(tiny, samples, site, tmp_path / "s", **options)
    assert again.fingerprint == store.fingerprint
    assert ActivationStore.open(tmp_path / "s").rows == store.rows


def test_the_store_of_another_run_is_refused(
    tiny: Model, brief: Model, samples: Samples, tmp_path: Path
) -> None:
    out, options = tmp_path / "s", {"max_new_tokens": 2}
    harvest(tiny, samples, Site(-1), out, **options)
    before = (out / "manifest.json").read_bytes()
    changes: list[tuple[str, Any]] = [
        ("model.weights", lambda: harvest(brief, samples, Site(-1), out, **options)),
        ("data", lambda: harvest(tiny, samples[:5], Site(-1), out, **options)),
        ("site.layer", lambda: harvest(tiny, samples, Site(1), out, **options)),
        (
            "site.tokens",
            lambda: harvest(tiny, samples, Site(-1, tokens.mean_image()), out, **options),
        ),
        ("options.max_new_tokens", lambda: harvest(tiny, samples, Site(-1), out, max_new_tokens=3)),
    ]
    for field, attempt in changes:
        with pytest.raises(MismatchError, match=f"another {field}"):
            attempt()
    assert (out / "manifest.json").read_bytes() == before
    harvest(tiny, samples, Site(3), out, **options)  # -1 is 3: the same run


def test_impossible_harvests_are_refused(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no samples"):
        harvest(tiny, Samples([]), Site(-1), tmp_path)
    with pytest.raises(DataError, match="no model"):
        harvest([], samples, Site(-1), tmp_path)
    with pytest.raises(MismatchError, match="share the label 'base'"):
        harvest([tiny, tiny], samples, Site(-1), tmp_path)
    with pytest.raises(DataError, match="batches of 0 in parts of 256"):
        harvest(tiny, samples, Site(-1), tmp_path, batch_size=0)
    with pytest.raises(SiteError, match="layer 9 is outside"):
        harvest(tiny, samples, Site(9), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_views_of_a_store(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    store = harvest(tiny, samples, Site(-1), tmp_path / "s", max_new_tokens=2, part_size=4)
    assert store.label("number") == [0, 1, 2, 3, 4, 5]
    view = store.where(lambda row: row.labels["number"] % 2 == 1)
    assert view.label("number") == [1, 3, 5]
    assert view.states().equal(store.states()[[1, 3, 5]])
    inner = view.at_rows([2, 0])
    assert inner.sample_ids == ["q5", "q1"]
    assert inner.states().equal(store.states()[[5, 1]])
    with pytest.raises(StoreError, match="not every sample has the label 'place'"):
        store.label("place")
    mine, theirs = paired(inner, store.at_rows([1, 2, 5]))
    assert mine.sample_ids == theirs.sample_ids == ["q5", "q1"]
    assert mine.states().equal(theirs.states())
    with pytest.raises(MismatchError, match="share no sample"):
        paired(store.at_rows([0]), store.at_rows([1]))


def test_rows_of_one_sample_are_paired_in_their_order(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    counts = Counter(w for one in said for w in one.text.split()[:-1])
    word = counts.most_common(1)[0][0]
    site = Site(-1, tokens.word(word, every=True))
    store = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW)
    assert len(store) > len(set(store.sample_ids))
    by_sample = sorted(range(len(store)), key=lambda row: (store.sample_ids[row][::-1], -row))
    turned = store.at_rows(by_sample[::-1])  # samples backwards, rows of each in their order
    assert turned.sample_ids != store.sample_ids
    mine, theirs = paired(store, turned)
    assert mine.sample_ids == theirs.sample_ids == store.sample_ids
    assert theirs.states().equal(store.states())


def test_a_finished_store_of_a_word_is_taken_up_again(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    site = Site(3, tokens.word(_common(said)))
    first = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW, part_size=2)
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").iterdir()}
    again = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW, part_size=2)
    assert again.fingerprint == first.fingerprint
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "s").iterdir()} == written
    with pytest.raises(MismatchError, match="another site"):
        harvest(tiny, samples, site.at(1), tmp_path / "s", max_new_tokens=NEW, part_size=2)


class _Fussy:
    """A processor that refuses pictures of one width."""

    def __init__(self, inner: Any, width: int) -> None:
        self._inner, self._width = inner, width

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, **given: Any) -> Any:
        if any(one.width == self._width for row in given["images"] or [] for one in row):
            raise ValueError("a picture of a width that I cannot bear")
        return self._inner(**given)


def test_a_sample_that_cannot_be_prepared_is_named_and_the_others_go_on(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    from shiftlens.data.images import open_image

    width = open_image(samples[2].images[0]).width
    bad = [one.id for one in samples if open_image(one.images[0]).width == width]
    model = replace(tiny, processor=_Fussy(tiny.processor, width))
    site = Site(1, tokens.last_prompt())
    store = harvest(model, samples, site, tmp_path / "s", max_new_tokens=2)
    assert [one["id"] for one in store.quarantine] == bad
    assert f"sample {bad[0]!r} (a picture of a width" in store.quarantine[0]["reason"]
    assert store.counts == {"matched": 6 - len(bad), "missed": 0, "failed": len(bad)}
    whole = harvest(tiny, samples, site, tmp_path / "w", max_new_tokens=2)
    kept = whole.where(lambda row: row.sample_id not in bad)
    assert store.sample_ids == kept.sample_ids
    _close(store.states(), kept.states())


def test_the_processor_of_another_model_is_told(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    """Half as many places for pictures as the tower gives features."""
    other = copy.deepcopy(tiny.processor)
    other.patch_size = 12
    model = replace(tiny, processor=other)
    with pytest.raises(MismatchError, match="do not fit their places in the prompt"):
        harvest(model, samples, Site(1), tmp_path / "s", max_new_tokens=2)


def test_stopping_at_the_word_gives_the_same_states(
    tiny: Model, samples: Samples, said: list[Response], tmp_path: Path
) -> None:
    word = said[0].text.split()[0]
    site = Site(2, tokens.word(word))
    whole = harvest(tiny, samples, site, tmp_path / "w", max_new_tokens=NEW)
    short = harvest(tiny, samples, site, tmp_path / "s", max_new_tokens=NEW, stop_at_word=True)
    assert [(row.sample_id, row.word, row.position) for row in short.rows] == [
        (row.sample_id, row.word, row.position) for row in whole.rows
    ]
    assert torch.equal(short.states(), whole.states())
    for name, text in short.responses.items():
        assert whole.responses[name].startswith(text)
    lengths = [sum(map(len, one.responses.values())) for one in (short, whole)]
    assert lengths[0] < lengths[1]
    assert short.fingerprint != whole.fingerprint
    for wrong in (tokens.last_prompt(), tokens.word(word, every=True)):
        with pytest.raises(SiteError, match="cannot stop at"):
            harvest(tiny, samples, Site(2, wrong), tmp_path / "n", stop_at_word=True)


def test_generation_options_are_part_of_a_stores_identity(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    site = Site(1, tokens.mean_response())
    options: dict[str, Any] = {"max_new_tokens": 4}
    plain = harvest(tiny, samples, site, tmp_path / "p", **options)
    once = harvest(
        tiny, samples, site, tmp_path / "o", generation={"no_repeat_ngram_size": 1}, **options
    )
    assert plain.provenance["options"].keys() < once.provenance["options"].keys()
    assert once.responses != plain.responses
    with pytest.raises(MismatchError):
        harvest(tiny, samples, site, tmp_path / "o", **options)
    with pytest.raises(DataError, match="a beam's states"):
        harvest(tiny, samples, site, tmp_path / "b", generation={"num_beams": 2}, **options)


def test_a_layer_in_place_of_a_site_is_named() -> None:
    with pytest.raises(SiteError, match="int '-1' in place of a site"):
        harvesting._check_site(-1)
