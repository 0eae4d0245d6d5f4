"""A harvest whose pictures are decoded elsewhere, or fetched: the same store, and it ends well."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.data.test_loading import _children as children
from tests.unit.data.web import Server, body, serving

from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.in_turn import harvest_pair
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.cli import main as cli
from shiftlens.core.errors import DataError, MismatchError
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

SITE = Site((1, -1), tokens.last_prompt())


@pytest.fixture
def samples(questions: list[Sample], tmp_path: Path) -> Samples:
    """Six that can be asked, and three that cannot, in between."""
    (tmp_path / "broken.png").write_bytes(b"no picture")
    bad = [
        Sample("gone", "what ?", (str(tmp_path / "gone.png"),)),
        Sample("broken", "what ?", (questions[0].images[0], str(tmp_path / "broken.png"))),
        Sample("bare", " "),
    ]
    return Samples([*questions[:1], *bad[:2], *questions[1:], bad[2]])


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _run(model: Model, samples: Samples, out: Path, **options: object) -> ActivationStore:
    options = {"max_new_tokens": 3, "batch_size": 2, "part_size": 5, **options}
    return harvest(model, samples, SITE, out, **options)  # type: ignore[arg-type]


def test_the_store_is_the_same_whoever_decodes(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    here = _run(tiny, samples, tmp_path / "0")
    assert (len(here), len(here.quarantine)) == (6, 3)
    assert {one["id"] for one in here.quarantine} == {"gone", "broken", "bare"}
    for decoders in (1, 2):
        _run(tiny, samples, tmp_path / str(decoders), decoders=decoders)
        assert _files(tmp_path / str(decoders)) == _files(tmp_path / "0")
    assert len(_files(tmp_path / "0")) >= 1 + 2 * 2
    assert children() == []


def test_decoders_are_no_part_of_what_a_store_is(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    first = _run(tiny, samples, tmp_path / "s", part=(1, 2), decoders=2)
    assert not first.complete
    whole = _run(tiny, samples, tmp_path / "s")
    assert whole.complete
    with pytest.raises(MismatchError, match="batch_size"):  # twin: of this it is
        _run(tiny, samples, tmp_path / "s", batch_size=3)


class _Killing(Silent):
    """Kills whoever decodes, once, as soon as a batch is done."""

    killed = 0

    def advance(self, n: int = 1) -> None:
        if n and not self.killed:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
                self.killed += 1


def test_a_decoder_that_is_killed_costs_nothing(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    _run(tiny, samples, tmp_path / "0")
    listener = _Killing()
    _run(tiny, samples, tmp_path / "1", decoders=2, progress=listener)
    assert listener.killed
    assert _files(tmp_path / "1") == _files(tmp_path / "0")


def test_a_harvest_that_fails_leaves_nobody_behind(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    class Failing(Silent):
        def advance(self, n: int = 1) -> None:
            if n:
                assert children()
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(tiny, samples, tmp_path / "s", decoders=2, progress=Failing())
    assert children() == []


def test_fewer_than_none_are_refused_before_anything_is_written(
    tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="-1 processes"):
        _run(tiny, samples, tmp_path / "s", decoders=-1)
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
@pytest.mark.parametrize("response", ["own", "base"])
def test_one_model_after_the_other_is_the_same_too(
    tiny_path: Path, samples: Samples, tmp_path: Path, response: str
) -> None:
    from tests.builders import build_llava

    tuned = build_llava(tmp_path / "tuned", seed=1)
    samples = samples[:-1]  # one without pictures and words is the base's alone to refuse
    for decoders in (0, 2):
        harvest_pair(
            tiny_path, tuned, samples, SITE, tmp_path / str(decoders), max_new_tokens=3,
            batch_size=2, response=response, decoders=decoders,  # type: ignore[arg-type]
        )  # fmt: skip
    assert _files(tmp_path / "2") == _files(tmp_path / "0")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, pictures: list[Path]) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as found:
        for path in pictures:
            found.answers[f"/{path.name}"] = body(path.read_bytes())
        yield found


@pytest.fixture
def distant(server: Server, questions: list[Sample]) -> Samples:
    """The questions about pictures on the web; one of them is not there."""
    found = [
        Sample(one.id, one.prompt, (server.url(f"/{Path(one.images[0]).name}"),))
        for one in questions
    ]
    return Samples([*found, Sample("gone", "what ?", (server.url("/gone.png"),))])


@pytest.mark.parametrize("decoders", [0, 2])
def test_pictures_on_the_web_are_fetched_where_that_is_asked_for(
    tiny: Model, distant: Samples, questions: list[Sample], tmp_path: Path, decoders: int
) -> None:
    near = _run(tiny, Samples(questions), tmp_path / "near")
    far = _run(tiny, distant, tmp_path / "far", remote=True, decoders=decoders)
    assert [one["id"] for one in far.quarantine] == ["gone"]
    assert "404" in far.quarantine[0]["reason"]
    assert len(far) == len(near) == 6
    assert (far.states(3) == near.states(3)).all()


def test_unless_they_are_asked_for_nobody_is_called(
    tiny: Model, server: Server, distant: Samples, questions: list[Sample], tmp_path: Path
) -> None:
    mixed = Samples([*list(distant)[:2], *questions[2:]])
    store = _run(tiny, mixed, tmp_path / "s", decoders=1)
    assert server.asked == []
    assert (len(store), len(store.quarantine)) == (4, 2)
    assert all("remote images are off" in one["reason"] for one in store.quarantine)
    # What was left out for that is no store of a run that fetches, and the other way round.
    with pytest.raises(MismatchError, match="remote"):
        _run(tiny, mixed, tmp_path / "s", remote=True)


def test_the_command_line_asks_too(
    base_path: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    names = sorted(server.answers)[:2]
    rows = [f'{{"image": "{server.url(name)}", "prompt": "what is this ?"}}' for name in names]
    data.write_text("\n".join(rows))
    asked = ["harvest", str(base_path), str(data), "--max-new-tokens", "2", "--quiet"]
    assert cli.run_app([*asked, "-o", str(tmp_path / "off")]) == 2
    assert "--remote-images" in capsys.readouterr().err
    assert server.asked == []
    on = [*asked, "-o", str(tmp_path / "on"), "--remote-images", "--decoders", "2"]
    assert cli.run_app(on) == 0
    assert sorted(server.asked) == names
    assert len(ActivationStore.open(tmp_path / "on")) == 2
    # A finished run is recognised, whoever is to decode, and nothing is fetched for that.
    assert cli.run_app([*on, "--decoders", "0"]) == 0
    assert sorted(server.asked) == names
    assert cli.run_app([*asked, "-o", str(tmp_path / "x"), "--decoders", "-1"]) == 2
    assert "-1 processes" in capsys.readouterr().err
