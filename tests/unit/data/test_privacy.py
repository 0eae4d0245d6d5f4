"""Names that are made up: the same for every model, telling nothing, and one for each picture."""

from dataclasses import replace

from shiftlens.data.privacy import (
    HIDDEN,
    hide,
    is_hidden,
    name_of,
    names_of,
    path_of,
    told,
)
from shiftlens.data.sample import Sample, Samples


def _samples(*names: str) -> Samples:
    return Samples([Sample(f"{name}-{i}", "p", (name,)) for i, name in enumerate(names)])


def test_ids_and_names_tell_nothing_and_keep_pictures_apart() -> None:
    plain = _samples("anna.png", "anna.png", "bert.png")
    hidden = hide(plain)
    assert [one.images for one in hidden] == [one.images for one in plain]
    assert name_of(hidden[0]) == name_of(hidden[1]) != name_of(hidden[2])
    assert len({one.id for one in hidden}) == 3
    told_of = [text for one in hidden for text in (one.id, *names_of(one))]
    assert not any("anna" in text or "bert" in text for text in told_of)
    assert all(is_hidden(name_of(one)) and path_of(one) is None for one in hidden)
    assert [name_of(one) for one in plain] == ["anna.png", "anna.png", "bert.png"]
    assert path_of(plain[0]) == "anna.png"


def test_the_same_collection_gets_the_same_names_and_another_one_others() -> None:
    one, again = hide(_samples("a.png", "b.png")), hide(_samples("a.png", "b.png"))
    assert [s.id for s in one] == [s.id for s in again]
    assert one.fingerprint == again.fingerprint
    other = hide(_samples("a.png", "c.png"))
    assert not {s.id for s in one} & {s.id for s in other}
    assert not {name_of(s) for s in one} & {name_of(s) for s in other}


def test_samples_stay_hidden_whatever_is_made_of_them() -> None:
    hidden = hide(_samples("a.png", "b.png", "c.png"))
    for made in (
        hidden.take(2, seed=1)[0],
        hidden.with_prompt("q")[0],
        *hidden.split(0.4, 0.4)[0],
        replace(hidden[0], response="r"),
    ):
        assert name_of(made).startswith(HIDDEN)


def test_a_reason_does_not_name_the_picture() -> None:
    (hidden,) = hide(_samples("/home/anna/1.png"))
    reason = "image /home/anna/1.png does not exist"
    assert "anna" not in told(hidden, reason)
    assert name_of(hidden) in told(hidden, reason)
    (plain,) = _samples("/home/anna/1.png")
    assert told(plain, reason) == reason


def test_a_sample_of_text_alone() -> None:
    (hidden,) = hide(Samples([Sample("anna", "p")]))
    assert (name_of(hidden), path_of(hidden)) == ("", None)
    assert hidden.id != "anna"
