"""GGUF control vectors: as the format is published, and as llama.cpp applies them."""

import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tests.builders import build_llava, build_vector
from tests.export.makers import edit, everything, probe
from tests.export.test_steering import logits

import shiftlens as sl
from shiftlens.core.errors import ExportError, MismatchError, StoreError
from shiftlens.models.model import Model
from shiftlens.steering.exporting.gguf import FILE
from shiftlens.steering.exporting.gguf_reading import read_gguf
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate


def by_the_rules(path: Path, n_embd: int) -> np.ndarray:
    """(layers, d) what llama.cpp's loader makes of a file: row N - 1 is ``direction.N``.

    Written from the published rules: only float32 of one dimension, index 1 or more, absent layers
    are zero. The package of the format's makers reads the bytes.
    """
    rows: dict[int, np.ndarray] = {}
    for tensor in gguf.GGUFReader(path).tensors:
        head, _, number = tensor.name.partition(".")
        assert head == "direction"
        assert int(number) >= 1
        assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
        assert list(tensor.shape) == [n_embd]
        rows[int(number)] = np.array(tensor.data)
    table = np.zeros((max(rows), n_embd), dtype=np.float32)
    for number, row in rows.items():
        table[number - 1] += row
    return table


def test_the_file_is_a_control_vector_as_published(tmp_path: Path) -> None:
    vector = build_vector(layer=3, length=2.0)
    made = sl.export([Intervention(vector, -1.5, "all"), build_vector(seed=1)], "gguf", tmp_path)
    assert [path.name for path in made.files] == [FILE]
    reader = gguf.GGUFReader(made.files[0])
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.layer_count"] == 2
    assert isinstance(fields["controlvector.model_hint"], str)
    names = [tensor.name for tensor in reader.tensors]
    assert names == ["direction.1", "direction.3"]
    table = by_the_rules(made.files[0], 32)
    assert np.array_equal(table[2], (vector.direction.double() * -1.5).float().numpy())
    assert not table[1].any()
    assert "block 0" in " ".join(made.notes)


def test_applied_by_the_published_rules_the_logits_are_those_of_the_hook(
    tiny: Model, tmp_path: Path
) -> None:
    """llama.cpp adds row N - 1 to the output of block N, for N from 1 on: written out here."""
    parts = [Intervention(build_vector(layer=n, seed=n), 0.5 * n, "all") for n in (1, 3, 3)]
    made = sl.export(parts, "gguf", tmp_path, model=tiny)
    table = torch.from_numpy(by_the_rules(made.files[0], tiny.address.d))
    with sl.steer(tiny, parts):
        hooked = logits(tiny)
        tiny.generate(None, "what", max_new_tokens=1)
    handles = [
        tiny.address.block(tiny.hf, block).register_forward_hook(
            lambda _module, _args, output, row=table[block - 1]: (
                (output[0] + row, *output[1:]) if isinstance(output, tuple) else output + row
            )
        )
        for block in range(1, len(table) + 1)
    ]
    try:
        ruled = logits(tiny)
    finally:
        for handle in handles:
            handle.remove()
    assert (ruled - hooked).abs().max() <= 1e-4
    assert (logits(tiny) - hooked).abs().max() > 1e-2, "the steering does something"


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Intervention(build_vector(), scope="response"), "has the scope 'response'"),
        (Intervention(build_vector(), scope="image:0"), "has the scope 'image:0'"),
        (Intervention(build_vector(), scope="all", gate=probe()), "has no gates"),
        (Intervention(build_vector(), scope="all", operator=Ablate()), "the operator ablate"),
        (Intervention(edit(), scope="all"), "is an affine edit"),
        (Intervention(build_vector(layer=0), scope="all"), "after block 0"),
        (Intervention(build_vector(), scope="all", layers=(-1,)), "counted from the end"),
    ],
)
def test_what_it_cannot_express_is_refused(one: Intervention, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        sl.export([Intervention(build_vector(seed=2), scope="all"), one], "gguf", tmp_path)
    assert str(caught.value).count("\n") >= 1, "it says what to do instead"
    assert not list(tmp_path.iterdir())


def test_a_model_with_deepstack_is_refused(tmp_path: Path) -> None:
    from transformers import Qwen3VLConfig

    from shiftlens.models.address import Address
    from shiftlens.models.claims import Claim

    vector = build_vector(provenance={"model": {"architecture": "Qwen3VLForConditionalGeneration"}})
    with pytest.raises(ExportError, match="deepstack"):
        sl.export(vector, "gguf", tmp_path)
    subject = Subject("qwen")
    object.__setattr__(subject, "config", Qwen3VLConfig())
    object.__setattr__(subject, "claim", Claim(None, Address("x", 4, 32, None, "y")))
    with pytest.raises(ExportError, match="deepstack"):
        sl.export(build_vector(), "gguf", tmp_path, model=subject)


def test_a_model_without_its_weights_is_told_apart_from_one_that_was_checked(
    tiny_path: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny_path.iterdir():
        if file.suffix != ".safetensors":
            (bare / file.name).write_bytes(file.read_bytes())
    for path, told in ((tiny_path, False), (bare, True)):
        notes = sl.export(build_vector(), "gguf", tmp_path / "out", model=path).notes
        assert ("not at hand" in " ".join(notes)) is told


def test_a_file_of_ours_is_not_taken_for_another_models(
    tiny: Model, tiny_path: Path, tmp_path: Path
) -> None:
    identity = {"model": tiny.name, **tiny.identity}
    vector = build_vector(layer=2, provenance={"model": identity})
    (made,) = sl.export(vector, "gguf", tmp_path / "ours").files
    other = build_llava(tmp_path / "other", seed=5)
    with pytest.raises(MismatchError, match="come from other weights than those of"):
        read_gguf(made, model=Subject(str(other)))
    assert read_gguf(made, model=Subject(str(tiny_path))).interventions
    # Twin: a file that says nothing is anybody's, on the user's word.
    (silent,) = sl.export(build_vector(layer=2), "gguf", tmp_path / "silent").files
    assert read_gguf(silent, model=Subject(str(other))).interventions


def test_what_a_file_of_ours_says_of_its_model_is_held_to_its_kind(tmp_path: Path) -> None:
    """It was once believed, and made a steering that nothing could read."""
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "controlvector")
    writer.add_string("controlvector.shiftlens", '{"vectors": [{"model": {"weights": 5}}]}')
    writer.add_tensor("direction.1", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(StoreError, match="fingerprint of a model"):
        read_gguf(tmp_path / "x.gguf")


def test_there_and_back(tiny: Model, tmp_path: Path) -> None:
    identity = {"model": tiny.name, **tiny.identity}
    vector = build_vector(layer=2, state_norm=5.0, provenance={"model": identity})
    whole = sl.Steering((Intervention(vector, 2.0, "all"),), name="dogs", licence="mit")
    made = sl.export(whole, "gguf", tmp_path)
    again = read_gguf(made.files[0])
    (one,) = again.interventions
    assert isinstance(one.vector, sl.SteeringVector)
    assert torch.equal(one.vector.direction, (vector.direction.double() * 2).float())
    assert (one.vector.layer, one.vector.state_norm, one.scope) == (2, 5.0, "all")
    assert (again.name, again.licence) == ("dogs", "mit")
    with sl.steer(tiny, again):  # the file says which weights it belongs to
        steered = logits(tiny)
        tiny.generate(None, "what", max_new_tokens=1)
    with sl.steer(tiny, whole):
        assert torch.equal(logits(tiny), steered)
        tiny.generate(None, "what", max_new_tokens=1)
    sl.export(again, "gguf", tmp_path / "again")
    first, second = (by_the_rules(p / FILE, 32) for p in (tmp_path, tmp_path / "again"))
    assert np.array_equal(first, second)


def foreign(path: Path, tensors: dict[str, np.ndarray], arch: str = "controlvector") -> Path:
    """A file as somebody else's program writes it."""
    writer = gguf.GGUFWriter(path, arch)
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_somebody_elses_file_is_read_on_the_users_word(
    tiny: Model, tiny_path: Path, tmp_path: Path
) -> None:
    ones = np.ones(32, dtype=np.float32)
    path = foreign(tmp_path / "x.gguf", {"direction.2": ones, "direction.1": 2 * ones})
    unknown = read_gguf(path)
    assert [one.vector.layer for one in unknown.interventions] == [1, 2]
    with pytest.raises(MismatchError, match="nobody said which weights"):
        with sl.steer(tiny, unknown):
            pass
    known = read_gguf(path, model=Subject(str(tiny_path)))
    with sl.steer(tiny, known):
        tiny.generate(None, "what", max_new_tokens=1)
    wide = foreign(tmp_path / "y.gguf", {"direction.1": np.ones(33, dtype=np.float32)})
    with pytest.raises(MismatchError, match="33 entries"):
        read_gguf(wide, model=Subject(str(tiny_path)))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"direction.0": np.ones(4, np.float32)}, "from 1 up"),
        ({"direction.01": np.ones(4, np.float32)}, "from 1 up"),
        ({"token_embd.weight": np.ones(4, np.float32)}, "token_embd"),
        ({"direction.1": np.ones(4, np.float16)}, "packed control vectors are not read"),
        ({"direction.1": np.ones((4, 4), np.float32)}, "one dimension"),
        ({"direction.1": np.ones(4, np.float32), "direction.2": np.ones(5, np.float32)}, "widths"),
        ({"direction.1": np.full(4, np.nan, np.float32)}, "not finite"),
        ({}, "no direction"),
    ],
)
def test_files_that_are_no_control_vectors(
    tensors: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=message):
        read_gguf(foreign(tmp_path / "x.gguf", tensors))


def test_a_model_is_no_control_vector_and_a_quantised_one_neither(tmp_path: Path) -> None:
    path = foreign(tmp_path / "m.gguf", {"a": np.ones(4, np.float32)}, arch="llama")
    with pytest.raises(StoreError, match=r"holds 'llama', not a control vector"):
        read_gguf(path)
    writer = gguf.GGUFWriter(tmp_path / "q.gguf", "controlvector")
    packed = gguf.quantize(np.ones(64, np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("direction.1", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(StoreError, match="packed control vectors are not read"):
        read_gguf(tmp_path / "q.gguf")


def head(*parts: bytes, tensors: int = 1, values: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, values) + b"".join(parts)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


ARCH = text(b"general.architecture") + struct.pack("<I", 8) + text(b"controlvector")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"PK\x03\x04zip", "no GGUF file"),
        (b"\x80\x04pickle", "no GGUF file"),
        (b"GGUF", "middle of its head"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (head(tensors=2**63), "tensors"),
        (head(values=2**63), "values"),
        (head(struct.pack("<Q", 2**63), values=1), "text of"),
        (head(text(b"k"), struct.pack("<IIQ", 9, 4, 2**62), values=1), "middle"),
        (head(text(b"k"), struct.pack("<IIQ", 9, 8, 2**62), values=1), "middle"),
        (head(text(b"k"), struct.pack("<IIQ", 9, 9, 1), values=1), "list of the type 9"),
        (head(text(b"k"), struct.pack("<I", 77), values=1), "unknown type 77"),
        (head(ARCH, ARCH, values=2), "two entries"),
        (head(ARCH, text(b"direction.1"), struct.pack("<I", 99), values=1), "99 dimensions"),
        (
            head(ARCH, text(b"direction.1"), struct.pack("<IQIQ", 1, 2**61, 0, 0), values=1),
            "ends before",
        ),
    ],
)
def test_hostile_bytes_are_refused_at_once(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(StoreError, match=message):
        read_gguf(tmp_path / "x.gguf")


def test_what_a_file_says_of_itself_is_held_to_its_kind(tmp_path: Path) -> None:
    for said, message in (
        ("{", "not valid JSON"),
        (json.dumps({"name": 5}), "a text"),
        (json.dumps({"vectors": 5}), "a list"),
        (json.dumps({"name": "a\x1b[2J"}), "control characters"),
    ):
        writer = gguf.GGUFWriter(tmp_path / "x.gguf", "controlvector")
        writer.add_string("controlvector.shiftlens", said)
        writer.add_tensor("direction.1", np.ones(4, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(StoreError, match=message):
            read_gguf(tmp_path / "x.gguf")


def test_everything_is_more_than_a_control_vector_holds(tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        sl.export(everything(), "gguf", tmp_path)
