"""Feature files of xl-vlms become stores: their three shapes, ids, layers, and whose they are."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tests.unit.activations.importing.files import (
    BLOCK,
    HEAD,
    NORM,
    coco,
    masks,
    save_pth,
    token_states,
    write_features,
)

import shiftlens as sl
from shiftlens.activations.importing import plan
from shiftlens.activations.importing.importing import import_features
from shiftlens.activations.selections.imported import Imported
from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.selection import Said
from shiftlens.concepts.grounding.explaining.fitting import require_model
from shiftlens.core.errors import DataError, MismatchError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.claims import is_unknown
from shiftlens.models.model import Model
from shiftlens.steering.directions import between_concepts


def _refused(path: Path, out: Path, error: type[Exception] = DataError, **options: object) -> str:
    with pytest.raises(error) as caught:
        import_features(path, out, **options)  # pyright: ignore[reportArgumentType]
    assert not out.exists()
    return str(caught.value)


def test_states_of_a_token_of_interest(tmp_path: Path) -> None:
    states, said = token_states(4), ["a dog", "a cat", "two dogs", "a dog runs"]
    path = write_features(
        tmp_path / "save_hidden_states_for_token_of_interest_dog.pth",
        states,
        image=coco(4),
        model_predictions=said,
        token_of_interest_mask=masks(True, False, True, True),
    )
    store = import_features(path, tmp_path / "s", words=["dog"], prompt="What is it?")
    assert torch.equal(store.states(), states[[0, 2, 3], 0, 0])
    assert store.states().dtype == torch.float16
    assert store.site == sl.Site(2, sl.tokens.word("dog"))
    assert store.counts == {"matched": 3, "missed": 1, "failed": 0}
    first = store.rows[1]
    assert (first.sample_id, first.image) == (Path(coco(4)[2]).name, coco(4)[2])
    assert (first.prompt, first.response, first.word) == ("What is it?", "two dogs", "dog")
    # What was said to a sample that is left out is kept as well.
    assert store.responses[Path(coco(4)[1]).name] == "a cat"
    store.verify()


def test_a_mask_of_one_tensor_and_flat_lists_as_the_reference_documents_them(
    tmp_path: Path,
) -> None:
    path = write_features(
        tmp_path / "f.pth",
        token_states(3),
        batched=False,
        image=coco(3),
        token_of_interest_mask=torch.tensor([False, True, True]),
    )
    store = import_features(path, tmp_path / "s")
    assert store.sample_ids == [Path(one).name for one in coco(3)[1:]]
    assert store.site == sl.Site(2, Imported())


@pytest.mark.parametrize("batch", [True, False], ids=["(1, m, d)", "(m, d)"])
def test_ranges_of_tokens_give_a_row_each_or_their_mean(tmp_path: Path, batch: bool) -> None:
    states = token_states(3, tokens=5)
    given = states if batch else states[:, 0]
    path = write_features(tmp_path / "save_hidden_states_given_token_start_end_idx_x.pth", given)
    store = import_features(path, tmp_path / "each")
    assert torch.equal(store.states(), states.reshape(15, 8))
    assert [row.position for row in store.rows[:6]] == [0, 1, 2, 3, 4, 0]
    assert store.site.tokens == Imported("save_hidden_states_given_token_start_end_idx")
    mean = import_features(path, tmp_path / "mean", positions="mean")
    assert torch.equal(mean.states(), states[:, 0].float().mean(dim=1).half())
    assert isinstance(mean.site.tokens, Mean)
    assert len(mean) == mean.counts["matched"] == 3


def test_plain_files_have_as_many_tokens_as_each_text(tmp_path: Path) -> None:
    given = [token_states(1, tokens=n, seed=n)[0] for n in (3, 1, 6)]
    store = import_features(write_features(tmp_path / "f.pth", given), tmp_path / "s")
    assert torch.equal(store.states(), torch.cat([one[0] for one in given]))
    assert store.sample_ids == ["000000"] * 3 + ["000001"] + ["000002"] * 6


def test_parts_are_of_bounded_size_and_hold_every_state_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_MOST_BYTES", 8 * 2 * 7)  # seven rows of eight halves
    given = [token_states(1, tokens=n, seed=n)[0] for n in (3, 4, 1, 20, 2, 2)]
    path = write_features(tmp_path / "f.pth", given, image=coco(6))
    store = import_features(path, tmp_path / "s")
    assert len(list((tmp_path / "s").glob("shard-*.safetensors"))) == 4
    assert torch.equal(store.states(), torch.cat([one[0] for one in given]))
    store.verify()


def test_an_interrupted_import_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_MOST_SAMPLES", 2)
    path = write_features(tmp_path / "f.pth", token_states(6), image=coco(6))
    whole = import_features(path, tmp_path / "whole")
    done: list[int] = []

    class Stop:
        def start(self, label: str, total: int) -> None: ...

        def advance(self, n: int = 1) -> None:
            done.append(n)
            if len(done) == 2:
                raise KeyboardInterrupt

        def stop(self) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        import_features(path, tmp_path / "cut", progress=Stop())
    again = import_features(path, tmp_path / "cut")
    assert again.fingerprint == whole.fingerprint
    assert sorted(one.name for one in again.path.iterdir() if one.name[0] != ".") == sorted(
        one.name for one in whole.path.iterdir() if one.name[0] != "."
    )


def test_several_blocks_make_one_store_and_a_final_norm_another(
    tmp_path: Path, tiny_path: Path
) -> None:
    states = token_states(4, d=32)
    names = ["language_model.model.layers.3", BLOCK]
    path = write_features(tmp_path / "two.pth", states, module=names)
    assert import_features(path, tmp_path / "two").layers == (2, 3)
    normed = write_features(tmp_path / "norm.pth", states, module=[NORM, BLOCK])
    assert "two kinds of states" in _refused(normed, tmp_path / "n")
    assert "does not say how many blocks" in _refused(normed, tmp_path / "n", module=NORM)
    store = import_features(normed, tmp_path / "n", module=NORM, model=str(tiny_path))
    assert (store.site.layer, store.site.normed) == (3, True)
    assert torch.equal(store.states(3), states[:, 0, 0])


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (HEAD, "logits"),
        ("model.vision_tower.vision_model.encoder.layers.3", "before the language model"),
        ("visual.blocks.3", "before the language model"),
        ("multi_modal_projector.norm", "before the language model"),
        ("language_model.model.layers.3.mlp", "part of a block"),
        ("language_model.model.layers.3.input_layernorm", "part of a block"),
        ("language_model.model.embed_tokens", "no module that is known"),
    ],
)
def test_what_is_no_residual_stream_is_refused(tmp_path: Path, module: str, why: str) -> None:
    path = write_features(tmp_path / "f.pth", token_states(), module=module)
    assert why in _refused(path, tmp_path / "s")
    beside = write_features(tmp_path / "g.pth", token_states(), module=[module, BLOCK])
    assert why in _refused(beside, tmp_path / "s")
    assert import_features(beside, tmp_path / "s", module=BLOCK).layers == (2,)


@pytest.mark.parametrize(
    "module",
    [
        "model.layers.2",
        "model.text_model.layers.2",
        "model.language_model.layers.2",
        "model.transformer.blocks.2",
        "transformer.h.2",
    ],
)
def test_the_families_of_the_reference_call_blocks_by_many_names(
    tmp_path: Path, module: str
) -> None:
    path = write_features(tmp_path / "f.pth", token_states(), module=module)
    assert import_features(path, tmp_path / "s").layers == (2,)


def test_ids_are_those_that_another_file_of_the_same_data_has(tmp_path: Path) -> None:
    asked = ["/a/x/1.jpg", "/a/y/1.jpg", "C:\\b\\2.jpg", "C:\\b\\2.jpg"]
    path = write_features(tmp_path / "f.pth", token_states(4), image=asked)
    store = import_features(path, tmp_path / "s")
    assert store.sample_ids == ["/a/x/1.jpg", "/a/y/1.jpg", "2.jpg", "2.jpg#2"]
    other = write_features(
        tmp_path / "g.pth",
        token_states(4, seed=1),
        image=asked,
        token_of_interest_mask=masks(True, False, True, True),
    )
    tuned = import_features(other, tmp_path / "t")
    assert tuned.provenance["data"] == store.provenance["data"]
    assert tuned.sample_ids == [store.sample_ids[i] for i in (0, 2, 3)]
    elsewhere = write_features(tmp_path / "h.pth", token_states(4), image=coco(4))
    assert import_features(elsewhere, tmp_path / "u").provenance["data"] != store.provenance["data"]


def test_pictures_are_found_where_they_lie_here(tmp_path: Path, pictures: list[Path]) -> None:
    (tmp_path / "coco" / "train2014").mkdir(parents=True)
    for name, picture in zip(coco(2), pictures, strict=False):
        (tmp_path / "coco" / "train2014" / Path(name).name).write_bytes(picture.read_bytes())
    path = write_features(tmp_path / "f.pth", token_states(3), image=coco(3))
    store = import_features(path, tmp_path / "s", images=tmp_path / "coco")
    here = tmp_path / "coco" / "train2014"
    assert [row.image for row in store.rows] == [
        *(str(here / Path(name).name) for name in coco(2)),
        coco(3)[2],  # it is not here: the file's own path stays
    ]
    assert "is no folder" in _refused(path, tmp_path / "t", images=tmp_path / "nowhere")


def test_no_name_of_a_picture_is_left_on_request(tmp_path: Path) -> None:
    options = {"image": coco(3), "model_predictions": ["a", "b", "c"]}
    path = write_features(tmp_path / "f.pth", token_states(3), **options)
    hidden = import_features(path, tmp_path / "s", keep_names=False)
    assert len(set(hidden.sample_ids)) == len({row.image for row in hidden.rows}) == 3
    plain = import_features(path, tmp_path / "t")
    for store, found in ((hidden, False), (plain, True)):
        rows = pq.read_table(store.path / "rows-00000.parquet").to_pylist()
        text = str(rows) + (store.path / "manifest.json").read_text()
        assert ("COCO_train2014" in text) == found
    assert plain.provenance["data"] == hidden.provenance["data"]


@pytest.mark.slow
def test_a_model_whose_weights_are_here_binds_the_store_as_if_harvested(
    tmp_path: Path, tiny_path: Path, tiny_adapter_path: Path
) -> None:
    path = write_features(tmp_path / "f.pth", token_states(d=32).float())
    store = import_features(path, tmp_path / "s", model=str(tiny_path))
    assert store.provenance["model"] == sl.load_model(tiny_path).identity
    assert store.provenance["source"]["model"] == "as the user says"
    adapter = str(tiny_adapter_path)
    tuned = import_features(path, tmp_path / "t", model=str(tiny_path), adapter=adapter)
    assert tuned.provenance["model"] == sl.load_model(tiny_path, adapter=adapter).identity
    halves = write_features(tmp_path / "h.pth", token_states(d=32))
    assert (
        import_features(halves, tmp_path / "h", model=str(tiny_path)).provenance["model"]["dtype"]
        == "float16"
    )


def test_a_model_that_cannot_be_theirs_is_refused(tmp_path: Path, tiny_path: Path) -> None:
    narrow = write_features(tmp_path / "f.pth", token_states(d=16))
    assert "width 16" in _refused(narrow, tmp_path / "s", MismatchError, model=str(tiny_path))
    deep = write_features(tmp_path / "g.pth", token_states(d=32), module="model.layers.4")
    said = _refused(deep, tmp_path / "s", MismatchError, model=str(tiny_path))
    assert "layer 4" in said
    assert "0..3" in said
    assert "no model" in _refused(narrow, tmp_path / "s", model="nobody/nothing/here")
    assert "name the model too" in _refused(narrow, tmp_path / "s", adapter="x")


def test_without_weights_nothing_passes_for_the_model(
    tmp_path: Path, tiny_path: Path, base: Model
) -> None:
    path = write_features(tmp_path / "f.pth", token_states(12, d=base.address.d), image=coco(12))
    store = import_features(path, tmp_path / "s")
    assert is_unknown(store.provenance["model"])
    assert store.about["model"] is None
    concepts = sl.learn(store, sl.KMeans(k=2, seed=0))
    vector = between_concepts(concepts, 0, 1)
    with pytest.raises(MismatchError, match="nobody said which weights"):
        with sl.steer(base, vector):
            pass
    with pytest.raises(MismatchError, match="nobody said which weights"):
        require_model(concepts, base)
    settings = tmp_path / "settings"
    settings.mkdir()
    for one in tiny_path.iterdir():
        if one.suffix != ".safetensors":
            (settings / one.name).write_bytes(one.read_bytes())
    wide = write_features(tmp_path / "g.pth", token_states(d=32))
    told = import_features(wide, tmp_path / "t", model=str(settings))
    assert is_unknown(told.provenance["model"])
    assert told.about["model"] == str(settings)
    narrow = write_features(tmp_path / "h.pth", token_states(d=16))
    _refused(narrow, tmp_path / "u", MismatchError, model=str(settings))


@pytest.mark.slow
def test_two_files_without_weights_can_be_compared(tmp_path: Path, tiny: Model) -> None:
    states = token_states(60, d=32).float()
    stores = [
        import_features(
            write_features(tmp_path / f"{name}.pth", states + move, image=coco(60)),
            tmp_path / name,
            words=["dog"],
        )
        for name, move in (("base", 0.0), ("tuned", 0.5))
    ]
    heads = (tiny.readout, tiny.readout)
    shift = sl.compare(*stores, sl.KMeans(k=2, seed=0), readouts=heads, draws=4)
    assert torch.allclose(shift.vectors, torch.full((2, 32), 0.5), atol=1e-3)
    elsewhere = write_features(tmp_path / "o.pth", states, image=coco(61)[1:])
    other = import_features(elsewhere, tmp_path / "o", words=["dog"])
    with pytest.raises(MismatchError, match="differ in their data"):
        sl.compare(stores[0], other, sl.KMeans(k=2), readouts=heads)


def test_imported_tokens_cannot_be_harvested_again() -> None:
    from shiftlens.activations.selections.reading import selection_from

    known = Imported("save_hidden_states")
    assert selection_from(known.describe()) == known
    with pytest.raises(SiteError, match="do not say at which tokens"):
        known.picks(Sample("a", "b"), Said("a dog", [1, 2], False, str))


def test_options_that_fit_nothing(tmp_path: Path) -> None:
    path = write_features(tmp_path / "f.pth", token_states(tokens=3))
    assert "one token of interest has one" in _refused(path, tmp_path / "s", words=["dog"])
    assert "each, mean" in _refused(path, tmp_path / "s", positions="first")
    assert "own, given" in _refused(path, tmp_path / "s", response="base")
    with pytest.raises(DataError, match="is an address"):
        import_features(path, "s3://bucket/run")
    assert BLOCK in _refused(path, tmp_path / "s", module="model.layers.7")
    import_features(path, tmp_path / "s")
    with pytest.raises(MismatchError, match="another site"):
        import_features(path, tmp_path / "s", positions="mean")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_states_that_are_not_finite(tmp_path: Path, bad: float) -> None:
    states = token_states(3)
    states[1, 0, 0, 5] = bad
    path = write_features(tmp_path / "f.pth", states)
    with pytest.raises(DataError, match=r"sample 1 .* not finite"):
        import_features(path, tmp_path / "s")
    left_out = write_features(
        tmp_path / "g.pth", states, token_of_interest_mask=masks(True, False, True)
    )
    assert len(import_features(left_out, tmp_path / "t")) == 2, "a state that nobody keeps is fine"


def test_shapes_types_and_widths_that_do_not_fit(tmp_path: Path) -> None:
    good = token_states(3)
    cases = {
        "shape (8,)": [good[0], good[1, 0, 0]],
        "shape (2, 1, 8)": [good[0], torch.cat([good[1], good[1]])],
        "shape (1, 0, 8)": [good[0], good[1][:, :0]],
        "width 6": [good[0], good[1][..., :6].clone()],
        "in torch.float32": [good[0], good[1].float()],
        "type torch.int64": [good[0].long(), good[1].long()],
    }
    for why, states in cases.items():
        path = write_features(tmp_path / "f.pth", states)
        assert why in _refused(path, tmp_path / "s"), why
    spread = torch.zeros(1, 1, 8).half().expand(1, 10**9, 8)
    path = save_pth(tmp_path / "f.pth", {"hidden_states": [{BLOCK: spread}]})
    assert "more numbers than the file holds" in _refused(path, tmp_path / "s")
