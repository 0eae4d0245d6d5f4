"""Where a playground may be served, and what is said when it cannot be."""

import builtins
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.playground.builders import build_run

from shiftlens.cli import main as cli
from shiftlens.core.errors import ShiftLensError
from shiftlens.models.model import Model
from shiftlens.playground.serving import Address, application, prepare


def test_others_are_served_with_a_token_alone() -> None:
    assert Address().url == "http://127.0.0.1:7860/"
    for host in ("0.0.0.0", "192.168.1.4", "::"):
        with pytest.raises(ShiftLensError, match="no token"):
            Address(host)
        assert Address(host, token="12345678").host == host
    with pytest.raises(ShiftLensError, match="at least 8"):
        Address(token="short")
    with pytest.raises(ShiftLensError, match="port"):
        Address(port=0)


def test_names_of_this_machine_follow_the_address() -> None:
    assert "localhost" in Address().hosts
    assert Address("192.168.1.4", token="12345678").hosts == {"192.168.1.4"}
    assert Address("0.0.0.0", token="12345678").hosts == frozenset()


def test_an_empty_run_needs_no_model(tmp_path: Path) -> None:
    shown = prepare(tmp_path, model="no/such/model")
    assert shown.desk is None
    assert shown.library.empty


def test_directions_are_tried_on_the_model_beforehand(
    tmp_path: Path, tiny_path: Path, tiny: Model
) -> None:
    shown = prepare(build_run(tmp_path, tiny), model=str(tiny_path))
    assert {one.title for one in shown.directions.values()} >= {"louder"}
    assert [title for title, _ in shown.misfits] == ["a stranger's"]


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        from shiftlens.playground.serving import _listen

        with pytest.raises(ShiftLensError, match=f"port {port}"):
            _listen(Address(port=port))


def test_without_the_extra_one_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "gradio":
            raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ShiftLensError, match=r"needs gradio.*\n.*shiftlens\[app\]"):
        application(prepare(tmp_path), Address(), tmp_path)


def test_the_verb_says_what_is_wrong_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(["serve", str(tmp_path / "nowhere")]) == 2
    assert cli.run_app(["serve", str(tmp_path), "--host", "0.0.0.0"]) == 2
    said = capsys.readouterr().err
    assert "does not exist" in said
    assert "--token" in said
    assert "Traceback" not in said
