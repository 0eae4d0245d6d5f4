"""Selections in the prompt: pictures, patches and text by their roles, in every alignment."""

from pathlib import Path

import pytest
import torch

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.selections.selection import Selection
from shiftlens.activations.site import Site, site_from
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.token_roles import TokenRole, token_roles
from shiftlens.core.errors import DataError, SiteError
from shiftlens.data.images import open_image
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.generation import forward
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode

LAYER = 1


@pytest.fixture
def samples(pictures: list[Path]) -> Samples:
    """One picture, two pictures, none; a system prompt in the second."""
    one, two, three = (str(path) for path in pictures[:3])
    return Samples(
        [
            Sample("one", "what is this ?", (one,)),
            Sample("two", "is a dog in the picture ?", (two, three), system="describe this ."),
            Sample("none", "what ?"),
        ]
    )


def _harvest(model: Model, samples: Samples, chosen: Selection, path: Path) -> ActivationStore:
    return harvest(model, samples, Site(LAYER, chosen), path, max_new_tokens=2)


def _states(model: Model, sample: Sample) -> tuple[torch.Tensor, list[int]]:
    """States of one prompt that is asked alone, and its tokens."""
    inputs = encode(model, [sample])
    with record(model, [LAYER]) as seen:
        forward(model, inputs)
    return seen.states[LAYER][0][0], inputs.tensors["input_ids"][0].tolist()


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_every_token_of_every_picture(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    store = _harvest(tiny, samples, tokens.image(), tmp_path / "s")
    assert store.counts == {"matched": 2, "missed": 1, "failed": 0}
    token = tiny.hf.config.image_token_id
    expected = []
    for sample in samples[:2]:
        states, ids = _states(tiny, sample)
        expected.append(states[[at for at, one in enumerate(ids) if one == token]])
    _close(store.states(), torch.cat(expected))
    assert len(store) == 9 + 18


def test_one_picture_its_patches_and_their_mean(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    second = _harvest(tiny, samples, tokens.image(1), tmp_path / "i")
    assert [row.sample_id for row in second.rows] == ["two"] * 9
    assert [row.word for row in second.rows][:4] == [
        "image 1 patch 0,0", "image 1 patch 0,1", "image 1 patch 0,2", "image 1 patch 1,0",
    ]  # fmt: skip
    patch = _harvest(tiny, samples, tokens.patch(1, 1, -1), tmp_path / "p")
    (row,) = patch.rows
    assert row.word == "image 1 patch 1,2"
    assert row.position == second.rows[5].position
    assert row.position < 0, "a prompt lies before the response"
    torch.testing.assert_close(patch.states()[0], second.states()[5])
    mean = _harvest(tiny, samples, tokens.mean(tokens.image(1)), tmp_path / "m")
    _close(mean.states()[0], second.states().mean(dim=0))


def test_predict_is_the_state_before(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    store = _harvest(tiny, samples, tokens.image(0, alignment="predict"), tmp_path / "s")
    states, ids = _states(tiny, samples[0])
    first = ids.index(tiny.hf.config.image_token_id)
    _close(store.states()[:9], states[first - 1 : first + 8])


@pytest.mark.parametrize(
    ("chosen", "texts"),
    [
        (tokens.user(), ["what is this ?", "is a dog in the picture ?", "what ?"]),
        (tokens.system(), ["", "describe this .", ""]),
    ],
    ids=["user", "system"],
)
def test_text_by_its_role(
    tiny: Model, samples: Samples, tmp_path: Path, chosen: Selection, texts: list[str]
) -> None:
    store = _harvest(tiny, samples, chosen, tmp_path / "s")
    expected = []
    for sample, text in zip(samples, texts, strict=True):
        states, ids = _states(tiny, sample)
        wanted = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
        starts = [at for at in range(len(ids)) if wanted and ids[at : at + len(wanted)] == wanted]
        expected += [states[at : at + len(wanted)] for at in starts[-1:]]
    _close(store.states(), torch.cat(expected))
    assert store.counts["matched"] == sum(map(bool, texts))


def test_the_whole_text_of_a_prompt_holds_every_role(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    places = {}
    for name, chosen in (("all", tokens.prompt()), ("user", tokens.user()),
                         ("system", tokens.system()), ("image", tokens.image())):  # fmt: skip
        store = _harvest(tiny, samples, chosen, tmp_path / name)
        places[name] = {(row.sample_id, row.position) for row in store.rows}
    assert places["user"] < places["all"]
    assert places["system"] < places["all"]
    assert not places["system"] & places["user"]
    assert not places["image"] & places["all"]


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (tokens.image(1), "there is no image 1"),
        (tokens.patch(0, 3, 0), r"patch \(3, 0\) is outside a picture"),
        (tokens.patch(2, 0, 0), "there is no image 2"),
    ],
)
def test_what_does_not_exist_is_named_and_the_others_go_on(
    tiny: Model, samples: Samples, tmp_path: Path, chosen: Selection, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        harvest(tiny, samples[:1], Site(0, chosen), tmp_path / "none", max_new_tokens=2)
    if "image 1" in reason:
        store = _harvest(tiny, samples, chosen, tmp_path / "some")
        assert store.counts == {"matched": 1, "missed": 0, "failed": 2}
        assert [one["id"] for one in store.quarantine] == ["one", "none"]
        assert all("there is no image 1" in one["reason"] for one in store.quarantine)


def test_batches_do_not_matter(tiny: Model, samples: Samples, tmp_path: Path) -> None:
    whole = _harvest(tiny, samples, tokens.prompt(), tmp_path / "b")
    single = harvest(
        tiny, samples, Site(LAYER, tokens.prompt()), tmp_path / "s", max_new_tokens=2, batch_size=1
    )
    assert [row.position for row in whole.rows] == [row.position for row in single.rows]
    _close(whole.states(), single.states())


@pytest.mark.parametrize(
    "chosen",
    [
        tokens.image(),
        tokens.image(2, alignment="predict"),
        tokens.patch(0, 1, 2),
        tokens.prompt(),
        tokens.system(),
        tokens.user(alignment="predict"),
        tokens.response(),
        tokens.reasoning(alignment="read"),
        tokens.mean(tokens.image(1)),
        tokens.mean(tokens.word("dog", every=True)),
        tokens.word("dog", last=True, within="reasoning", forms={"dog": ("dogs", "puppy")}),
        tokens.mean(tokens.response()),
    ],
)
def test_descriptions_come_back(chosen: Selection) -> None:
    import json

    site = Site(2, chosen)
    assert site_from(json.loads(json.dumps(site.describe()))) == site


def test_means_with_a_name_keep_it() -> None:
    assert tokens.mean(tokens.image()).describe() == {"kind": "mean image"}
    assert tokens.mean_response() == tokens.mean(tokens.response())
    assert tokens.mean_prompt() == tokens.mean(tokens.prompt())
    for nothing in (tokens.mean_image(),):
        with pytest.raises(SiteError, match="there is no mean of"):
            tokens.mean(nothing)


@pytest.mark.parametrize(
    "prompt", ["a", "assistant", "What is This ?", "what is this?", "what is zebra ?", "user :"]
)
def test_a_prompt_is_found_however_the_tokenizer_writes_it(
    tiny: Model, byte_model: Model, pictures: list[Path], prompt: str
) -> None:
    """In lower case, with other spaces, with unknown words; and not in the template's own words."""
    for model in (tiny, byte_model):
        turn = Turn(prompt, (open_image(str(pictures[0])),), system="the")
        (roles,) = token_roles(model, [turn])
        assert _ids(model, roles, "user") == _tokenized(model, prompt)
        assert _ids(model, roles, "system") == _tokenized(model, "the")
        last = max(one.position for one in roles if one.role == "user")
        behind = [one for one in roles if one.position > last]
        assert model.tokenizer.decode(_ids(model, behind, "template")).strip() == "assistant :"


def _ids(model: Model, roles: list[TokenRole], role: str) -> list[int]:
    return model.tokenizer.convert_tokens_to_ids([one.token for one in roles if one.role == role])


def _tokenized(model: Model, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_numbers_that_count_nothing_are_refused() -> None:
    import inspect

    for wrong in ("a", 1.5, True):
        with pytest.raises(SiteError, match="a whole number"):
            inspect.unwrap(tokens.image)(wrong)
        with pytest.raises(SiteError, match="col is"):
            inspect.unwrap(tokens.patch)(0, 0, wrong)
