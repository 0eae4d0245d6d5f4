"""Sites: where they may lie, and the one behind the final norm."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.builders import build_llava, build_store, build_vector, edit_tensors

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site, site_from
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.words import reading, state_scores
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import MismatchError, SiteError, SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


@pytest.mark.parametrize("layer", [3, -1, (0, 2)])
@pytest.mark.parametrize("normed", [False, True])
def test_a_description_gives_back_the_site(layer: int | tuple[int, ...], normed: bool) -> None:
    if normed and isinstance(layer, tuple):
        with pytest.raises(SiteError, match="the last block alone"):
            Site(layer, normed=True)
        return
    site = Site(layer, tokens.word("dog"), normed=normed)
    assert site_from(site.describe()) == site


def test_a_site_without_the_norm_is_described_as_it_always_was() -> None:
    assert set(Site(2).describe()) == {"layer", "tokens"}
    assert Site(2, normed=True).describe()["normed"] is True


def test_only_the_last_block_is_followed_by_the_norm(tiny: Model) -> None:
    assert Site(-1, normed=True).resolve(tiny) == Site(3, normed=True)
    for layer in (0, 2, -2):
        with pytest.raises(SiteError, match=r"not followed by the final norm\n.*3, or -1"):
            Site(layer, normed=True).resolve(tiny)
    bare = replace(tiny, address=replace(tiny.address, norm_path=None))
    with pytest.raises(SiteError, match="has no final norm"):
        Site(-1, normed=True).resolve(bare)


@pytest.mark.parametrize("response", ["own", "base"])
@pytest.mark.parametrize(
    "selection",
    [tokens.last_prompt(), tokens.mean_response(), tokens.mean_image()],
    ids=lambda s: s.kind,
)
def test_states_are_those_that_transformers_gives_last(
    tiny: Model, questions: list[Sample], tmp_path: Path, response, selection
) -> None:
    """The last of ``hidden_states`` is behind the norm; means are taken over what it holds."""
    samples, site = Samples(questions), Site(-1, selection, normed=True)
    other = replace(tiny, label="again")
    stores = harvest([tiny, other], samples, site, tmp_path, response=response, max_new_tokens=4)
    found = stores[1].states()
    said = tiny.respond(list(samples), max_new_tokens=4)
    for row, sample, text in zip(found, samples, said, strict=True):
        inputs = encode(tiny, [sample], response_ids=[text.token_ids])
        with torch.no_grad(), tiny.active():
            last = tiny.hf(**inputs.tensors, output_hidden_states=True).hidden_states[-1][0]
        torch.testing.assert_close(
            row, _expected(tiny, inputs, last, selection.kind), atol=1e-3, rtol=1e-3
        )
    # Twin: without the norm they are something else.
    plain = harvest([tiny, other], samples, replace(site, normed=False), tmp_path / "p",
                    response=response, max_new_tokens=4)  # fmt: skip
    assert not torch.allclose(plain[1].states(), found, atol=1e-2)


def _expected(model: Model, inputs, last: torch.Tensor, kind: str) -> torch.Tensor:
    from shiftlens.models.roles import Roles

    if kind == "mean image":
        return last[Roles.of(model, inputs).image[0]].mean(dim=0)
    trail = last[inputs.prompt_width - 1 :]
    return trail[0] if kind == "last prompt" else trail[:-1].mean(dim=0)


def test_a_normed_store_is_not_mixed_with_another(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    site = Site(-1, normed=True)
    harvest(tiny, Samples(questions), site, tmp_path / "s", max_new_tokens=2)
    with pytest.raises(MismatchError, match=r"site\.normed"):
        harvest(tiny, Samples(questions), Site(-1), tmp_path / "s", max_new_tokens=2)


@pytest.fixture
def crooked(tmp_path: Path) -> Model:
    """A tiny model whose final norm stretches: with weights of 1, norming twice changes nothing."""

    def stretch(tensors: dict[str, torch.Tensor]) -> None:
        (name,) = (one for one in tensors if one.endswith("language_model.model.norm.weight"))
        tensors[name] *= torch.linspace(0.2, 3.0, len(tensors[name]))

    path = build_llava(tmp_path / "crooked")
    edit_tensors(path / "model.safetensors", stretch)
    return load_model(path)


def test_words_of_normed_states_are_those_of_the_states_before(
    crooked: Model, questions: list[Sample], tmp_path: Path
) -> None:
    """One state a concept: head(norm(h)) either way, and never normed twice."""
    samples, found = Samples(questions), {}
    for normed in (False, True):
        site = Site(-1, normed=normed)
        store = harvest(crooked, samples, site, tmp_path / str(normed), max_new_tokens=2)
        scores = state_scores(reading(crooked.readout, store.site), store.states())
        concepts = learn(store, KMeans(k=len(samples)))
        words = ground(concepts, store, crooked.readout, n_words=5).words
        found[normed] = (scores, store.states(), sorted(words))
    torch.testing.assert_close(found[True][0], found[False][0], atol=1e-3, rtol=1e-3)
    assert found[True][2] == found[False][2]
    twice = state_scores(crooked.readout, found[True][1])
    assert not torch.allclose(twice, found[False][0], atol=0.2, rtol=0.1)


def test_nothing_is_steered_with_normed_states(tmp_path: Path) -> None:
    with pytest.raises(SteeringError, match=r"behind the final norm\n.*\n.*without normed=True"):
        build_vector(site=Site(3, normed=True))
    build_vector(site=Site(3))


def test_the_norm_of_the_adapter_is_the_one_that_is_used(
    pair: tuple[Model, Model], tmp_path: Path, questions: list[Sample]
) -> None:
    """The hook runs inside the model's own adapter state, as does the readout."""
    base, tuned = pair
    samples = Samples(questions)
    states = []
    for normed in (False, True):
        site = Site(-1, normed=normed)
        stores = harvest([base, tuned], samples, site, tmp_path / str(normed), max_new_tokens=2)
        states.append(stores[1])
    plain, through = states
    torch.testing.assert_close(
        reading(tuned.readout, through.site).logits(through.states()),
        tuned.readout.logits(plain.states()),
        atol=2e-2,
        rtol=1e-2,
    )


def test_forward_leaves_no_graph(tiny: Model, questions: list[Sample], tmp_path: Path) -> None:
    site = Site(-1, tokens.last_prompt(), normed=True)
    store = harvest(tiny, Samples(questions), site, tmp_path / "s", max_new_tokens=2)
    assert not store.states().requires_grad
    assert forward(tiny, encode(tiny, [questions[0]])) is not None


def test_a_store_of_given_states_keeps_its_fingerprint(tmp_path: Path) -> None:
    states = torch.zeros(4, 2)
    one, two = (build_store(tmp_path / name, states) for name in ("a", "b"))
    assert one.fingerprint == two.fingerprint
    assert "normed" not in one.provenance["site"]
