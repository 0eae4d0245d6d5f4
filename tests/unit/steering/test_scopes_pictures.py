"""The tokens of pictures and of parts of them: exactly those, in every batch and family."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Pictures
from tests.architectures.families.table import FAMILIES
from tests.builders import build_idefics3, build_qwen2_vl, build_vector
from tests.watching import Seen, watch

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_image
from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.picture_tokens import pictures_of
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.prompts import Inputs, encode
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import When
from shiftlens.steering.responding import steer_responses
from shiftlens.steering.scopes import Image, Patches, Scope, image, patches, read_scope

NEW = 3
SIDE = 3  # the tiny LLaVA sees 3 x 3 patches


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_qwen2_vl(tmp_path_factory.mktemp("tiny") / "qwen"))


@pytest.fixture(scope="module")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A wide picture, a high one, and a small square one."""
    folder = tmp_path_factory.mktemp("oblong")
    paths: list[str] = []
    for name, size in (("wide", (96, 32)), ("high", (32, 80)), ("square", (32, 32))):
        noise = torch.randint(0, 255, (size[1], size[0], 3), dtype=torch.uint8)
        Pictures.fromarray(noise.numpy()).save(folder / f"{name}.png")
        paths.append(str(folder / f"{name}.png"))
    return paths


@pytest.fixture
def mixed(pictures: list[Path]) -> list[Sample]:
    """One, two, no and three pictures, which follow each other without a token between them."""
    at = [str(path) for path in pictures]
    return [
        Sample("one", "what is this ?", (at[0],)),
        Sample("two", "is the dog in the picture ?", (at[1], at[2])),
        Sample("none", "describe the beach ."),
        Sample("three", "what", (at[3], at[4], at[5])),
    ]


def _see(model: Model, samples: list[Sample] | Inputs, scope: str | Scope, **more: Any) -> Seen:
    """Both with a cache and without, which must agree."""
    steering = {"scope": scope}
    seen, other = (
        watch(
            model,
            samples,
            build_vector(),
            steering=steering,
            max_new_tokens=NEW,
            use_cache=use_cache,
            **more,
        )
        for use_cache in (True, False)
    )
    assert seen.ids.equal(other.ids)
    assert seen.changed[:, : seen.width].equal(other.changed[:, : seen.width])
    assert seen.told() == other.told() == seen.places()
    for name in ("selected", "tokens", "touched", "samples"):
        assert getattr(seen.one, name) == getattr(other.one, name)
    assert seen.one.dose == pytest.approx(other.one.dose, rel=1e-4)
    return seen


def _pieces(model: Model, inputs: Inputs, length: int) -> list[list[list[int]]]:
    """Columns of the pictures of every sample, all of one length: worked out by hand."""
    token = picture_token(model.hf, model.processor)
    rows = [
        [at for at, one in enumerate(row) if one == token]
        for row in inputs.tensors["input_ids"].tolist()
    ]
    return [[row[i : i + length] for i in range(0, len(row), length)] for row in rows]


def _flags(seen: Seen, columns: list[list[int]]) -> torch.Tensor:
    flags = torch.zeros_like(seen.changed)
    for row, some in enumerate(columns):
        flags[row, some] = True
    return flags


def test_all_pictures_of_samples_that_differ(tiny: Model, mixed: list[Sample]) -> None:
    inputs = encode(tiny, mixed)
    pieces = _pieces(tiny, inputs, SIDE**2)
    assert [len(row) for row in pieces] == [1, 2, 0, 3]
    assert not inputs.tensors["attention_mask"].all(), "some prompts are padded"
    seen = _see(tiny, inputs, "image")
    assert seen.changed.equal(_flags(seen, [[at for one in row for at in one] for row in pieces]))
    assert [place[0] for place in seen.told()] == [0, 1, 3]
    assert seen.one.touched == 3


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_picture_of_each(tiny: Model, mixed: list[Sample], index: int) -> None:
    inputs = encode(tiny, mixed)
    seen = _see(tiny, inputs, f"image:{index}")
    wanted = [row[index] if index < len(row) else [] for row in _pieces(tiny, inputs, SIDE**2)]
    assert seen.changed.equal(_flags(seen, wanted))
    assert seen.one.scope == f"image:{index}"


def test_a_picture_that_no_sample_has(tiny: Model, mixed: list[Sample]) -> None:
    with pytest.raises(SteeringError, match="scope 'image:3' selected no position"):
        _see(tiny, mixed, "image:3")
    with pytest.raises(SteeringError, match="scope 'image' selected no position"):
        _see(tiny, mixed[2:3], "image")
    with pytest.raises(SteeringError, match="'patches@3:0,0,1,1' selected no position"):
        _see(tiny, mixed, "patches@3:0,0,1,1")


def test_a_picture_that_only_one_batch_has_is_enough(tiny: Model, mixed: list[Sample]) -> None:
    one = Intervention(build_vector(), scope="image:2")
    _, receipt = steer_responses(tiny, mixed, [one], max_new_tokens=2, batch_size=1)
    assert [place.sample for place in receipt.vectors[0].places] == [3]
    with pytest.raises(SteeringError, match="'image:2' selected no position"):
        steer_responses(tiny, mixed[:3], [one], max_new_tokens=2, batch_size=1)


@pytest.mark.parametrize(
    ("box", "grid"),
    [
        ((0, 0, 0.5, 1), ["x..", "x..", "x.."]),  # the middle column's centre is at the edge: out
        ((0.5, 0, 1, 1), [".xx", ".xx", ".xx"]),
        ((0, 0, 1, 0.34), ["xxx", "...", "..."]),
        ((0.34, 0.34, 0.66, 0.66), ["...", ".x.", "..."]),
        ((0, 0.5, 0.6, 1), ["...", "xx.", "xx."]),
        ((0, 0, 1, 1), ["xxx", "xxx", "xxx"]),
    ],
)
def test_a_rectangle_has_the_patches_whose_centres_it_holds(
    tiny: Model, mixed: list[Sample], box: tuple[float, ...], grid: list[str]
) -> None:
    inputs = encode(tiny, mixed)
    seen = _see(tiny, inputs, "patches@1:" + ",".join(map(str, box)))
    chosen = [at for at, mark in enumerate("".join(grid)) if mark == "x"]
    wanted = [
        [row[1][at] for at in chosen] if len(row) > 1 else []
        for row in _pieces(tiny, inputs, SIDE**2)
    ]
    assert seen.changed.equal(_flags(seen, wanted))


def test_halves_make_up_the_whole(tiny: Model, questions: list[Sample]) -> None:
    left, right = (_see(tiny, questions, one) for one in ("patches:0,0,.5,1", "patches:.5,0,1,1"))
    whole = _see(tiny, questions, "image:0")
    assert not bool((left.changed & right.changed).any())
    assert (left.changed | right.changed)[:, : whole.width].equal(whole.changed[:, : whole.width])


def test_a_rectangle_between_all_centres_selects_nothing(
    tiny: Model, questions: list[Sample]
) -> None:
    with pytest.raises(SteeringError, match="selected no position"):
        _see(tiny, questions, patches(0.2, 0.2, 0.3, 0.3))


def test_each_is_what_it_is_alone(tiny: Model, mixed: list[Sample]) -> None:
    """Padding and neighbours move no position: places count from the last prompt position."""
    vector, scope = build_vector(length=60.0), "image:1"
    together = _see(tiny, mixed, scope)
    alone = _see(tiny, mixed[1:2], scope)
    find = [place[1:] for place in together.told() if place[0] == 1]
    assert find == [alone.told()[0][1:]]
    said, _ = steer_responses(tiny, mixed, [Intervention(vector, scope=scope)], max_new_tokens=NEW)
    single, _ = steer_responses(
        tiny, mixed[1:2], [Intervention(vector, scope=scope)], max_new_tokens=NEW
    )
    assert said[1] == single[0]


def test_what_a_picture_scope_does_reaches_the_answer(tiny: Model, questions: list[Sample]) -> None:
    plain = tiny.respond(questions, max_new_tokens=NEW)
    one = Intervention(build_vector(length=200.0), scope=image())
    assert steer_responses(tiny, questions, [one], max_new_tokens=NEW)[0] != plain


@pytest.mark.parametrize("beams", [2, 3])
def test_beams_see_their_own_pictures(tiny: Model, mixed: list[Sample], beams: int) -> None:
    """Rows of one prompt lie beside each other, each with its pictures."""
    inputs = encode(tiny, mixed)
    seen = _see(tiny, inputs, "image:1", num_beams=beams)
    wanted = [
        row[1] if len(row) > 1 else [] for row in _pieces(tiny, inputs, 9) for _ in range(beams)
    ]
    assert seen.changed.equal(_flags(seen, wanted))


def test_several_samples_of_one_prompt(tiny: Model, mixed: list[Sample]) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"do_sample": True, "num_return_sequences": 2}
    vector = build_vector()
    seen = watch(tiny, mixed, vector, steering={"scope": "image:1"}, **options)
    assert [place[0] for place in seen.told()] == [2, 3, 6, 7]
    assert seen.told() == seen.places()


def _grid_columns(model: Model, inputs: Inputs) -> list[list[tuple[list[int], int, int]]]:
    """Columns, rows and columns of patches of each picture, from the processor's own grid."""
    token = picture_token(model.hf, model.processor)
    grids = [(h // 2, w // 2) for _, h, w in inputs.tensors["image_grid_thw"].tolist()]
    found: list[list[tuple[list[int], int, int]]] = []
    for row in inputs.tensors["input_ids"].tolist():
        runs: list[list[int]] = []
        for at, one in enumerate(row):
            if one == token:
                # Pictures are fenced in this family: a run of tokens is a picture.
                if runs and runs[-1][-1] == at - 1:
                    runs[-1].append(at)
                else:
                    runs.append([at])
        found.append([(run, *grids.pop(0)) for run in runs])
    assert grids == []
    assert all(len(run) == h * w for row in found for run, h, w in row)
    return found


@pytest.fixture
def sizes(oblong: list[str]) -> list[Sample]:
    wide, high, square = oblong
    return [
        Sample("a", "what is this ?", (wide, high)),
        Sample("b", "is the dog in the picture ?", (square,)),
        Sample("c", "describe the beach in the picture ."),
        Sample("d", "what", (high, square, wide)),
    ]


@pytest.mark.parametrize("index", [None, 0, 1, 2])
def test_pictures_of_any_size(qwen: Model, sizes: list[Sample], index: int | None) -> None:
    inputs = encode(qwen, sizes)
    shapes = {(h, w) for row in _grid_columns(qwen, inputs) for _, h, w in row}
    assert len(shapes) == 3, "the three pictures are laid out differently"
    seen = _see(qwen, inputs, image(index))
    wanted = [
        [at for number, (run, _, _) in enumerate(row) if index in (None, number) for at in run]
        for row in _grid_columns(qwen, inputs)
    ]
    assert seen.changed.equal(_flags(seen, wanted))


def test_rectangles_of_oblong_pictures(qwen: Model, sizes: list[Sample]) -> None:
    inputs = encode(qwen, sizes)
    seen = _see(qwen, inputs, "patches:0.5,0,1,0.5", announced=True)
    wanted: list[list[int]] = []
    for row in _grid_columns(qwen, inputs):
        columns: list[int] = []
        if row:
            run, h, w = row[0]
            grid = torch.tensor(run).view(h, w)
            across, down = (torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h
            columns = grid[down < 0.5][:, across >= 0.5].flatten().tolist()
        wanted.append(columns)
    assert seen.changed.equal(_flags(seen, wanted))
    assert seen.one.tokens == sum(map(len, wanted)) > 0


def test_beams_with_pictures_of_any_size(qwen: Model, sizes: list[Sample]) -> None:
    inputs = encode(qwen, sizes)
    seen = _see(qwen, inputs, "image:0", num_beams=2)
    wanted = [row[0][0] if row else [] for row in _grid_columns(qwen, inputs) for _ in range(2)]
    assert seen.changed.equal(_flags(seen, wanted))


def test_a_grid_that_is_not_known_is_not_guessed(qwen: Model, oblong: list[str]) -> None:
    """The raw model encodes pictures ahead of its call, and drops their layout; four by nine tokens
    are not six by six."""
    wide = [Sample("w", "what is this ?", (oblong[0],))]
    with pytest.raises(SteeringError, match="lie in no known grid") as no:
        _see(qwen, wide, "patches:0,0,.5,1")
    assert 'scope "image"' in str(no.value)
    assert "model.generate" in str(no.value)
    one = Intervention(build_vector(), scope="patches:0,0,.5,1")
    _, receipt = steer_responses(qwen, wide, [one], max_new_tokens=1)
    assert 0 < receipt.tokens < int(_see(qwen, wide, "image").one.tokens)


def test_without_any_pixels_a_run_is_a_picture(tiny: Model, mixed: list[Sample]) -> None:
    ids = encode(tiny, mixed).tensors["input_ids"]
    found = pictures_of(tiny, ids, {})
    assert [[len(one.columns) for one in row] for row in found] == [[9], [18], [], [27]]
    assert {one.grid for row in found for one in row} == {None}


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_idefics3(tmp_path_factory.mktemp("tiny") / "idefics"))


@pytest.fixture
def shapes(oblong: list[str], pictures: list[Path]) -> list[Sample]:
    """Pictures that are cut into different numbers of tiles."""
    wide, high, _ = oblong
    square = str(pictures[0])
    return [
        Sample("a", "what is this ?", (wide, square)),
        Sample("b", "is the dog in the picture ?", (high,)),
        Sample("c", "describe the beach ."),
        Sample("d", "what", (square, high, wide)),
    ]


@pytest.mark.parametrize("announced", [True, False])
def test_one_picture_among_tiles(tiled: Model, shapes: list[Sample], announced: bool) -> None:
    """Its family names every tile in the prompt, so that sizes need not be known."""
    inputs = encode(tiled, shapes)
    token = picture_token(tiled.hf, tiled.processor)
    layouts = layouts_of(tiled, inputs)
    assert len({len(one.columns) for row in layouts for one in row}) > 1, "numbers of tiles differ"
    seen = _see(tiled, inputs, "image", announced=announced)
    assert seen.changed[:, : seen.width].equal(inputs.tensors["input_ids"] == token)
    seen = _see(tiled, inputs, "image:1", announced=announced)
    wanted = [list(row[1].columns) if len(row) > 1 else [] for row in layouts]
    assert seen.changed.equal(_flags(seen, wanted))
    seen = _see(tiled, inputs, "patches:0,0,.5,1", announced=announced)
    wanted = [
        [
            grid.columns[r * grid.cols + c]
            for grid in (row[0].grid, row[0].overview)
            if grid is not None
            for r in range(grid.rows)
            for c in range(grid.cols // 2)
        ]
        for row in [*layouts[:2], *layouts[3:]]
    ]
    wanted.insert(2, [])
    assert seen.changed.equal(_flags(seen, wanted))


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """InternVL: tiles follow each other without a token between them."""
    family = next(one for one in FAMILIES if one.name == "InternVL")
    return load_model(family.build(tmp_path_factory.mktemp("tiny") / "internvl", 0))


def test_tiles_that_are_not_named_need_sizes(nameless: Model, mixed: list[Sample]) -> None:
    inputs = encode(nameless, mixed)
    for scope in ("image:1", "patches:0,0,.5,1"):
        with pytest.raises(SteeringError, match="cuts a picture into tiles") as caught:
            _see(nameless, inputs, scope)
        assert "model.generate" in str(caught.value)
    seen = _see(nameless, inputs, "image:1", announced=True)
    wanted = [list(row[1].columns) if len(row) > 1 else [] for row in layouts_of(nameless, inputs)]
    assert seen.changed.equal(_flags(seen, wanted))


def test_tiles_in_the_vision_tower_are_not_told_apart(tiled: Model, mixed: list[Sample]) -> None:
    vector = build_vector(site=Site(0, mean_image(), tower="vision"))
    for scope in ("image:1", "patches:0,0,.5,1"):
        with pytest.raises(SteeringError, match=r"in its vision tower\n.*steer the language model"):
            watch(tiled, mixed[:1], vector, layer=0, steering={"scope": scope})


def test_a_family_without_picture_tokens(
    tiny: Model, questions: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scope has no meaning there, and says so when it is used."""
    monkeypatch.setattr("shiftlens.models.picture_tokens.picture_token", lambda *_: None)
    with pytest.raises(SteeringError, match="has no token that stands for a piece of a picture"):
        watch(tiny, questions[:1], build_vector(), steering={"scope": "image"})


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("image", Image()),
        ("image:0", Image(0)),
        ("image:12", Image(12)),
        ("patches:0,0,.5,1", Patches((0.0, 0.0, 0.5, 1.0))),
        ("patches@2:0,.25,.5,1", Patches((0.0, 0.25, 0.5, 1.0), 2)),
    ],
)
def test_scopes_are_read_and_written(text: str, scope: Scope) -> None:
    assert read_scope(text) == scope
    assert read_scope(str(scope)) == scope
    assert read_scope(scope) is scope


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image:one", "'image:one' cannot be read\n  image:0, patches:0,0,.5,1"),
        ("image:1.5", "cannot be read"),
        ("image:", "'image:' cannot be read"),
        ("image:-1", "picture -1\n  pictures are counted from 0"),
        ("image@1", "unknown scope 'image@1'"),
        ("patches", "'patches' cannot be read"),
        ("patches:0,0,1", "'patches:0,0,1' cannot be read"),
        ("patches:0,0,1,1,1", "cannot be read"),
        ("patches:0,0,a,1", "cannot be read"),
        ("patches@x:0,0,1,1", "cannot be read"),
        ("patches@-1:0,0,1,1", "picture -1"),
        ("patches:.5,0,.5,1", r"the box \(0.5, 0.0, 0.5, 1.0\) is empty or leaves the picture"),
        ("patches:0,.6,1,.5", "is empty"),
        ("patches:-.1,0,1,1", "leaves the picture"),
        ("patches:0,0,1,1.5", "leaves the picture"),
        ("patches:0,0,nan,1", "is empty or leaves"),
        (
            "pictures",
            "unknown scope 'pictures'\n  response, all, prompt, last_prompt, gene",
        ),
    ],
)
def test_what_cannot_be_read_says_so(text: str, match: str) -> None:
    with pytest.raises(SteeringError, match=match):
        read_scope(text)


@pytest.mark.parametrize("scope", ["image", "patches:0,0,1,1"])
def test_a_gate_that_reads_states_comes_too_late(tiny: Model, scope: str) -> None:
    """Pictures lie before the last prompt position, whose state would decide."""
    gate = When(lambda reading: reading.require_states()[:, 0] > 0, layer=0)
    with pytest.raises(SteeringError, match="behind positions of scope"):
        with steer(tiny, build_vector(), scope=scope, gate=gate):
            pass


def test_given_decisions_guard_pictures(tiny: Model, questions: list[Sample]) -> None:
    gate = When(lambda reading: reading.require_states()[:, 0] > 0, layer=3)
    one = Intervention(build_vector(), scope="image", gate=gate)
    flags = [True, False, True, False, False, True]
    seen = watch(tiny, questions, one, steering={"decisions": [flags]})
    assert seen.changed.any(dim=1).tolist() == flags
    assert list(seen.one.gate_open) == flags
    assert seen.one.selected == 9 * 6
    assert seen.one.tokens == 9 * 3


def test_pictures_cannot_be_found_in_embeddings(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1])
    embedded = tiny.hf.get_input_embeddings()(inputs.tensors["input_ids"])
    with pytest.raises(SteeringError, match="called with embeddings"):
        with steer(tiny, build_vector(), scope="image"), torch.no_grad():
            tiny.hf(inputs_embeds=embedded, attention_mask=inputs.tensors["attention_mask"])
