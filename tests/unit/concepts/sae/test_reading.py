"""Autoencoders of other libraries: their codes, exactly, and clear words for what is not read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.builders import build_store
from tests.unit.concepts.sae.sae_files import (
    D,
    K,
    codes_by_hand,
    dictionary,
    saelens,
    sparsify,
    states,
    states_by_hand,
    weights,
    write,
)

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import NO_CONCEPT
from shiftlens.concepts.sae.encoder import SparseAutoencoder
from shiftlens.concepts.sae.reading import read_sae
from shiftlens.core.errors import LearnError, MismatchError, StoreError

W = weights()
SITE = Site(0)

# What is written, and what it computes.
READ: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "saelens-topk": (
        lambda at: saelens(at, W, architecture="topk", k=3),
        {"activation": "topk", "active": 3},
    ),
    "saelens-topk-by-norm": (
        lambda at: saelens(at, W, architecture="topk", k=3, rescale_acts_by_decoder_norm=True),
        {"activation": "topk", "active": 3, "by_norm": True},
    ),
    "saelens-standard": (
        lambda at: saelens(at, W, architecture="standard", apply_b_dec_to_input=False),
        {"activation": "relu", "subtract": False},
    ),
    "saelens-old-topk": (
        lambda at: saelens(
            at,
            W,
            activation_fn_str="topk",
            activation_fn_kwargs={"k": 2},
            hook_layer=0,
            hook_name="blocks.0.hook_resid_post",
        ),
        {"activation": "topk", "active": 2},
    ),
    "saelens-jumprelu": (
        lambda at: saelens(at, W, architecture="jumprelu", apply_b_dec_to_input=False),
        {"activation": "jumprelu", "subtract": False},
    ),
    "sparsify": (
        lambda at: sparsify(at, W, k=4, activation="topk"),
        {"activation": "topk", "active": 4},
    ),
    "dictionary-relu": (lambda at: dictionary(at, W, "AutoEncoder"), {"activation": "relu"}),
    "dictionary-new": (
        lambda at: dictionary(at, W, "AutoEncoderNew"),
        {"activation": "relu", "subtract": False},
    ),
    "dictionary-topk": (
        lambda at: dictionary(at, W, "AutoEncoderTopK", k=3, layer=0),
        {"activation": "topk", "active": 3},
    ),
    "dictionary-jumprelu": (
        lambda at: dictionary(at, W, "JumpReluAutoEncoder"),
        {"activation": "jumprelu", "subtract": False, "by_norm": True},
    ),
}


@pytest.mark.parametrize("name", READ)
def test_codes_and_states_are_those_of_the_library(tmp_path: Path, name: str) -> None:
    build, told = READ[name]
    concepts = read_sae(build(tmp_path / name), SITE)
    x = states()
    by_hand = codes_by_hand(x, W, **told)
    codes = concepts.encode(torch.from_numpy(x).float())
    np.testing.assert_allclose(codes.numpy(), by_hand, atol=1e-4)
    assert concepts.kind == "direction"
    assert concepts.sizes == (0,) * K
    by_norm = told.get("by_norm", False)
    again = concepts.reconstruct(codes).numpy()
    np.testing.assert_allclose(again, states_by_hand(by_hand, W, by_norm=by_norm), atol=1e-4)
    largest = np.where(by_hand.max(axis=1) > 0, by_hand.argmax(axis=1), NO_CONCEPT)
    np.testing.assert_array_equal(concepts.assign(torch.from_numpy(x).float()).numpy(), largest)
    turned = np.linalg.norm(W["dec"], axis=1, keepdims=True) if by_norm else 1.0
    np.testing.assert_allclose(concepts.vectors.numpy(), W["dec"] / turned, atol=1e-5)


def test_batch_topk_keeps_the_threshold_that_it_was_saved_with(tmp_path: Path) -> None:
    concepts = read_sae(dictionary(tmp_path, W, "BatchTopKSAE", k=3), SITE)
    same = {**W, "threshold": np.full(K, W["threshold"][0])}
    x = states()
    by_hand = codes_by_hand(x, same, "jumprelu")
    codes = concepts.encode(torch.from_numpy(x).float())
    np.testing.assert_allclose(codes.numpy(), by_hand, atol=1e-4)
    assert len(set((codes > 0).sum(dim=1).tolist())) > 1  # not three in every row


@pytest.mark.parametrize("name", READ)
def test_twin_codes_without_the_bias_step_are_others(tmp_path: Path, name: str) -> None:
    build, told = READ[name]
    wrong = codes_by_hand(states(), W, **{**told, "subtract": not told.get("subtract", True)})
    codes = read_sae(build(tmp_path / name), SITE).encode(torch.from_numpy(states()).float())
    assert np.abs(codes.numpy() - wrong).max() > 0.1


@pytest.mark.parametrize("name", READ)
def test_saved_and_loaded_they_encode_the_same_bits(tmp_path: Path, name: str) -> None:
    concepts = read_sae(READ[name][0](tmp_path / name), SITE)
    concepts.save(tmp_path / "kept")
    again = Concepts.load(tmp_path / "kept")
    x = torch.from_numpy(states()).float()
    assert torch.equal(again.encode(x), concepts.encode(x))
    assert again.learner == concepts.learner
    assert again.provenance == concepts.provenance


def test_a_row_alone_is_encoded_as_among_others(tmp_path: Path) -> None:
    concepts = read_sae(saelens(tmp_path, W, architecture="topk", k=3), SITE)
    x = torch.from_numpy(states()).float()
    kept = x.clone()
    alone = torch.cat([concepts.encode(row[None]) for row in x])
    torch.testing.assert_close(alone, concepts.encode(x))
    assert torch.equal(x, kept)
    assert concepts.assign(x[:0]).shape == (0,)
    assert concepts.encode(x.half()).dtype == torch.float32


@pytest.mark.parametrize("told", ["constant_norm_rescale", "layer_norm"])
def test_states_are_normalised_as_they_were_in_training(tmp_path: Path, told: str) -> None:
    config = {"architecture": "topk", "k": 3, "normalize_activations": told}
    concepts = read_sae(saelens(tmp_path, W, **config), SITE)
    x = states()
    if told == "layer_norm":
        seen = (x - x.mean(1, keepdims=True)) / (x.std(1, ddof=1, keepdims=True) + 1e-5)
    else:
        seen = x * D**0.5 / np.linalg.norm(x, axis=1, keepdims=True)
    codes = concepts.encode(torch.from_numpy(x).float())
    np.testing.assert_allclose(codes, codes_by_hand(seen, W, "topk", active=3), atol=1e-4)
    with pytest.raises(LearnError, match="codes do not tell what it took off"):
        concepts.reconstruct(codes)


@pytest.mark.parametrize("told", ["constant_norm_rescale", "layer_norm"])
def test_a_state_of_zeros_has_codes_that_are_numbers(tmp_path: Path, told: str) -> None:
    config = {"architecture": "standard", "normalize_activations": told}
    codes = read_sae(saelens(tmp_path, W, **config), SITE).encode(torch.zeros(2, D))
    np.testing.assert_allclose(codes, codes_by_hand(np.zeros((2, D)), W, "relu"), atol=1e-5)


def test_none_is_kept_where_none_is_active(tmp_path: Path) -> None:
    store = build_store(tmp_path / "store", torch.from_numpy(states(10)).float())
    folder = saelens(tmp_path / "sae", {**W, "b_enc": W["b_enc"] - 1e6}, architecture="standard")
    assert read_sae(folder, SITE, store=store).sizes == (0,) * len(W["b_enc"])
    with pytest.raises(LearnError, match="no concept is active on any state"):
        read_sae(folder, SITE, store=store, keep=2)


def test_a_plain_file_is_read_with_what_is_said_about_it(tmp_path: Path) -> None:
    tensors = {"W_enc": W["enc"], "W_dec": W["dec"].T, "b_enc": W["b_enc"], "b_dec": W["b_dec"]}
    file = write(tmp_path, "any.safetensors", tensors) / "any.safetensors"
    options: dict[str, Any] = {"activation": "topk", "active": 3, "subtract": False}
    codes = read_sae(file, SITE, **options).encode(torch.from_numpy(states()).float())
    by_hand = codes_by_hand(states(), W, **options)
    np.testing.assert_allclose(codes.numpy(), by_hand, atol=1e-4)
    with pytest.raises(LearnError, match="do not say which activation"):
        read_sae(file, SITE)
    with pytest.raises(LearnError, match="do not say how many concepts"):
        read_sae(file, SITE, activation="topk")
    with pytest.raises(LearnError, match="without the decoder's bias"):
        read_sae(file, SITE, activation="relu")


def test_square_weights_need_the_name_of_their_format(tmp_path: Path) -> None:
    w = weights(D, D)
    options: dict[str, Any] = {"activation": "relu", "subtract": True}
    folder = saelens(tmp_path, w, architecture="standard")
    with pytest.raises(LearnError, match="square"):
        read_sae(folder, SITE, kind="plain", **options)
    codes = read_sae(folder, SITE).encode(torch.from_numpy(states()).float())
    np.testing.assert_allclose(codes, codes_by_hand(states(), w, "relu"), atol=1e-4)
    # Twin: the same numbers read the other way are another autoencoder.
    turned = {**w, "enc": w["enc"].T}
    assert np.abs(codes.numpy() - codes_by_hand(states(), turned, "relu")).max() > 0.1


def test_provenance_holds_digests_and_settings(tmp_path: Path) -> None:
    concepts = read_sae(saelens(tmp_path, W, architecture="topk", k=3), SITE)
    told = concepts.provenance["sae"]
    assert set(told["files"]) == {"sae_weights.safetensors", "cfg.json"}
    assert all(len(digest) == 64 for digest in told["files"].values())
    assert told["config"] == {"architecture": "topk", "k": 3}
    assert concepts.learner["name"] == "sae"
    assert concepts.learner["format"] == "saelens"
    assert (concepts.learner["activation"], concepts.learner["active"]) == ("topk", 3)


def test_sizes_are_counted_on_a_store(tmp_path: Path) -> None:
    x = torch.from_numpy(states(50)).float()
    store = build_store(tmp_path / "store", x, shards=3)
    concepts = read_sae(
        saelens(tmp_path / "sae", W, architecture="topk", k=3), Site(-1), store=store
    )
    largest = codes_by_hand(x.double().numpy(), W, "topk", active=3).argmax(axis=1)
    assert concepts.sizes == tuple(np.bincount(largest, minlength=K).tolist())
    assert concepts.site == store.site_at()
    assert concepts.provenance["store"] == store.fingerprint
    assert "sae" in concepts.provenance


@pytest.mark.parametrize("name", ["saelens-topk", "saelens-jumprelu", "saelens-standard"])
def test_kept_concepts_keep_their_codes(tmp_path: Path, name: str) -> None:
    x = torch.from_numpy(states(50)).float()
    store = build_store(tmp_path / "store", x, shards=2)
    folder = READ[name][0](tmp_path / "sae")
    every, some = read_sae(folder, SITE, store=store), read_sae(folder, SITE, store=store, keep=4)
    sums = every.encode(x).double().sum(dim=0)
    chosen = sorted(sums.argsort(descending=True)[:4].tolist())
    assert some.learner["kept"] == chosen
    assert some.learner["share"] == pytest.approx(float(sums[chosen].sum() / sums.sum()))
    assert torch.equal(some.vectors, every.vectors[chosen])
    assert some.sizes == tuple(every.sizes[one] for one in chosen)
    torch.testing.assert_close(some.encode(x), every.encode(x)[:, chosen])
    some.save(tmp_path / "kept")
    torch.testing.assert_close(Concepts.load(tmp_path / "kept").encode(x), some.encode(x))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"keep": 3}, "chosen on states"),
        ({"store": True, "keep": 0}, "cannot keep 0 of 10"),
        ({"store": True, "keep": 11}, "cannot keep 11 of 10"),
    ],
)
def test_what_cannot_be_kept(tmp_path: Path, options: dict[str, Any], match: str) -> None:
    if "store" in options:
        options["store"] = build_store(tmp_path / "store", torch.randn(5, D))
    with pytest.raises(LearnError, match=match):
        read_sae(saelens(tmp_path / "sae", W, architecture="topk", k=3), SITE, **options)


def test_a_store_of_another_width_or_layer_is_refused(tmp_path: Path) -> None:
    folder = saelens(
        tmp_path / "sae", W, architecture="topk", k=3, hook_name="blocks.4.hook_resid_pre"
    )
    with pytest.raises(MismatchError, match="layer 3 for states of layer 0"):
        read_sae(folder, SITE)
    assert read_sae(folder, Site(3)).k == K
    wide = build_store(tmp_path / "store", torch.randn(5, D + 1))
    folder = saelens(tmp_path / "other", W, architecture="topk", k=3)
    with pytest.raises(MismatchError, match="width 6 for states of width 7"):
        read_sae(folder, SITE, store=wide)
    with pytest.raises(MismatchError, match="one layer"):
        read_sae(folder, Site((0, 1)))


def _broken(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Path]:
    def build(at: Path) -> Path:
        tensors: dict[str, Any] = {
            "W_enc": W["enc"].T, "W_dec": W["dec"], "b_enc": W["b_enc"], "b_dec": W["b_dec"],
        }  # fmt: skip
        change(tensors)
        return write(at, "sae_weights.safetensors", tensors, {"architecture": "topk", "k": 3})

    return build


def _nan(tensors: dict[str, Any]) -> None:
    tensors["W_dec"] = np.where(np.arange(K)[:, None] == 3, np.nan, W["dec"])


REFUSED: dict[str, tuple[Callable[[Path], Path], type[Exception], str]] = {
    "nan": (_broken(_nan), LearnError, "W_dec holds values that are not finite"),
    "no decoder": (_broken(lambda t: t.pop("W_dec")), LearnError, "holds no W_dec"),
    "other decoder": (
        _broken(lambda t: t.update(W_dec=W["dec"][:4])), LearnError, "beside W_dec of shape",
    ),
    "other bias": (_broken(lambda t: t.update(b_dec=np.ones(4))), LearnError, "beside b_dec of 4"),
    "other encoder bias": (
        _broken(lambda t: t.update(b_enc=np.ones(4))), LearnError, r"b_enc of shape \(4,\)",
    ),
    "three axes": (_broken(lambda t: t.update(W_enc=np.ones((2, 3, 4)))), LearnError, "W_enc of"),
    "gated": (lambda at: saelens(at, W, architecture="gated"), LearnError, "'gated'"),
    "tanh": (lambda at: saelens(at, W, activation_fn_str="tanh-relu"), LearnError, "tanh-relu"),
    "scaled": (
        lambda at: saelens(at, W, normalize_activations="expected_average_only_in"),
        LearnError, "fold it into the weights",
    ),
    "heads": (
        lambda at: saelens(at, W, hook_name="blocks.3.attn.hook_z"), MismatchError, "hook_z",
    ),
    "too many active": (
        lambda at: saelens(at, W, architecture="topk", k=11), LearnError, "with 11 active",
    ),
    "half active": (
        lambda at: saelens(at, W, architecture="topk", k=2.5), LearnError, "2.5 where a whole",
    ),
    "no threshold": (
        lambda at: write(
            at, "sae_weights.safetensors",
            {"W_enc": W["enc"].T, "W_dec": W["dec"]}, {"architecture": "jumprelu"},
        ),
        LearnError, "no threshold",
    ),
    "transcoder": (lambda at: sparsify(at, W, k=3, transcode=True), LearnError, "transcode"),
    "groupmax": (lambda at: sparsify(at, W, k=3, activation="groupmax"), LearnError, "groupmax"),
    "gated dictionary": (
        lambda at: dictionary(at, W, "GatedAutoEncoder"), LearnError, "GatedAutoEncoder",
    ),
    "dictionary alone": (
        lambda at: write(at, "ae.safetensors", {"encoder.weight": W["enc"]}),
        LearnError, "without its config.json",
    ),
    "nothing": (lambda at: at, StoreError, "holds no autoencoder"),
    "settings of another kind": (
        lambda at: write(at, "sae.safetensors", {"W_dec": W["dec"]}, [1]),
        StoreError, "no settings",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    build, error, match = REFUSED[name]
    tmp_path.joinpath("sae").mkdir()
    with pytest.raises(error, match=match):
        read_sae(build(tmp_path / "sae"), SITE)


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    whole = {"W_enc": torch.ones(D, K, dtype=torch.int8), "W_dec": torch.ones(K, D)}
    save_file(whole, tmp_path / "sae_weights.safetensors")
    with pytest.raises(LearnError, match=r"W_enc is of type torch.int8"):
        read_sae(tmp_path, SITE, activation="relu")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "ae.pt").write_bytes(b"")
    with pytest.raises(StoreError, match="which may run any code"):
        read_sae(tmp_path, SITE)


def test_several_autoencoders_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, f"{name}.safetensors", {"W_enc": W["enc"]})
    with pytest.raises(StoreError, match="2 files of weights"):
        read_sae(tmp_path, SITE)
    with pytest.raises(StoreError, match="unknown kind of autoencoder 'gemma'"):
        read_sae(tmp_path, SITE, kind="gemma")


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "sae.safetensors").write_bytes(b"not weights")
    (tmp_path / "cfg.json").write_text(json.dumps({"k": 3}))
    with pytest.raises(StoreError, match="cannot be read"):
        read_sae(tmp_path, SITE)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"activation": "gelu"}, "'gelu'"),
        ({"activation": "topk", "active": 0}, "0 active"),
        ({"activation": "jumprelu"}, "without a threshold"),
        ({"activation": "relu", "threshold": torch.zeros(K)}, "with a threshold"),
        ({"activation": "relu", "normalisation": "batch"}, "'batch'"),
    ],
)
def test_an_encoder_that_makes_no_sense(options: dict[str, Any], match: str) -> None:
    parts = torch.ones(K, D), torch.zeros(K), torch.zeros(D)
    with pytest.raises(LearnError, match=match):
        SparseAutoencoder(*parts, **options)
