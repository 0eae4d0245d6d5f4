"""Names lead to directories, or to an error that says what to do."""

from pathlib import Path

import pytest

from shiftlens.core.errors import DataError
from shiftlens.models.files import locate, read_config, require_weights


def test_a_directory_is_itself(tiny_path: Path) -> None:
    assert locate(str(tiny_path), None) == (tiny_path, None)


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/model", None) == (tmp_path / "model", None)


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere", "a/b/c", "a\\b"])
def test_an_unknown_path_is_never_asked_of_the_hub(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_args: object, **_options: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    with pytest.raises(DataError, match=r"no model at .* \(there is no such directory\)") as caught:
        locate(name, None)
    assert name in caught.value.given
    assert "check the spelling" in caught.value.remedy


def test_an_id_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="no such directory, and the hub") as caught:
        locate("nobody/no-such-model", None)
    assert "without a network, download the model first" in caught.value.remedy


def test_what_is_not_even_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="it is not an id"):
        locate("not an id!", None)


def test_a_model_in_the_cache_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, repository = "0" * 39 + "7", tmp_path / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert locate("someone/model", None) == (repository / "snapshots" / commit, commit)
    assert locate("someone/model", commit)[1] == commit
    with pytest.raises(DataError, match="no model at someone/model"):
        locate("someone/model", "another-branch")


def test_a_file_is_not_a_model(tiny_path: Path) -> None:
    with pytest.raises(DataError, match=r"model\.safetensors is a file") as caught:
        locate(str(tiny_path / "model.safetensors"), None)
    assert "directory" in caught.value.allowed


def test_a_package_that_has_no_such_model() -> None:
    with pytest.raises(DataError, match="no model 'unheard-of'"):
        locate("world:unheard-of", None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1]", "not a JSON object"),
    ],
)
def test_a_broken_json_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(DataError, match=f"config.json of mine is {reason}"):
        read_config(tmp_path, "config.json", "mine")


def test_pickled_weights_are_not_weights(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(DataError, match="holds no weights") as caught:
        require_weights(tmp_path, "mine", "do this")
    assert "can run code" in caught.value.allowed
    assert caught.value.remedy == "do this"


@pytest.mark.parametrize("keep", [0, 4, 100, -1], ids=["empty", "size", "header", "last byte"])
def test_weights_cut_short_are_refused(copied: Path, keep: int) -> None:
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"model\.safetensors of mine is damaged") as caught:
        require_weights(copied, "mine", "")
    assert "again" in caught.value.remedy


def test_every_file_is_looked_at(copied: Path) -> None:
    require_weights(copied, "mine", "")
    (copied / "z.safetensors").write_bytes(b"short")
    with pytest.raises(DataError, match=r"z\.safetensors of mine is damaged"):
        require_weights(copied, "mine", "")
