"""``ConceptShift.plot`` and ``Trajectory.plot``: what is drawn equals the numbers."""

from typing import Any

import pytest
from tests.drawn import HOSTILE, small_shift, small_trajectory

from shiftlens.core.errors import DataError
from shiftlens.shift.plots.kinds import KINDS


def _lines(axes: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {
        line.get_label(): (
            [float(x) for x in line.get_xdata()],
            [float(y) for y in line.get_ydata()],
        )
        for line in axes.get_lines()
    }


def _texts(figure: Any) -> list[str]:
    from matplotlib.text import Text

    return [one.get_text() for one in figure.findobj(Text) if one.get_text()]


def test_recovery_draws_every_curve_and_every_interval() -> None:
    shift = small_shift()
    left, right = shift.plot("recovery").axes
    drawn = _lines(left)
    for name, curve in shift.recovery["centred_cosine"].items():
        assert drawn[name] == (shift.recovery["strength"], curve)
    ends = _lines(right)
    for name in ("global", "shuffled"):
        one = shift.recovery[f"concept_minus_{name}"]
        assert ends[f"interval {name}"][0] == [one["low"], one["high"]]
        assert ends[name][0] == [one["estimate"]]


def test_recovery_is_what_is_drawn_unless_told_otherwise() -> None:
    assert _texts(small_shift().plot()) == _texts(small_shift().plot("recovery"))


def test_magnitude_draws_lengths_consistencies_and_shares() -> None:
    shift = small_shift()
    (axes,) = shift.plot("magnitude").axes
    (dots,) = axes.collections
    changes = sorted(shift.changes(), key=lambda one: -one.share)
    wanted = [[one.magnitude / shift.state_norm, one.consistency] for one in changes]
    assert dots.get_offsets().tolist() == [pytest.approx(one) for one in wanted]
    areas = dots.get_sizes()
    assert list(areas) == sorted(areas, reverse=True)


def test_matching_draws_partners_and_other_nearest_ones() -> None:
    shift = small_shift()
    (axes,) = shift.plot("matching").axes
    bands = {one.get_label() for one in axes.collections if " to " in str(one.get_label())}
    assert bands == {f"{i} to {j}" for i, j in enumerate(shift.bijective)}
    dashed = {name for name in _lines(axes) if name.startswith("nearest of ")}
    assert dashed == {"nearest of 2"}, "concept 2 alone is nearest to another than its partner"


def test_matching_draws_the_samples_that_flow() -> None:
    counts = [[2, 28, 0], [40, 10, 0], [9, 1, 10]]
    fates = {"base": ["kept", "kept", "split"], "tuned": ["kept", "kept", "born"]}
    (axes,) = small_shift(flow={"counts": counts, **fates}).plot("matching").axes
    bands = {
        str(one.get_label()): one for one in axes.collections if " to " in str(one.get_label())
    }
    assert set(bands) == {"0 to 1", "1 to 0", "1 to 1", "2 to 0", "2 to 2"}, "few have no band"
    for name, band in bands.items():
        start, end = map(int, name.split(" to "))
        (path,) = band.get_paths()
        left = path.vertices[path.vertices[:, 0] == path.vertices[:, 0].min()][:, 1]
        assert left.max() - left.min() == pytest.approx(3 * counts[start][end] / 100)
    assert {"20 % split", "10 % born", "30 %"} <= {one.get_text() for one in axes.texts}


def test_drift_draws_a_row_a_concept_the_longest_first() -> None:
    shift = small_shift()
    lengths, consistency, overlap = shift.plot("drift").axes
    changes = sorted(shift.changes(), key=lambda one: -one.magnitude)
    widths = [bar.get_width() for bar in lengths.patches]
    assert widths == pytest.approx([one.magnitude / shift.state_norm for one in changes])
    assert _lines(consistency)["values"][0] == pytest.approx([one.consistency for one in changes])
    assert _lines(overlap)["values"][0] == pytest.approx([one.overlap for one in changes])
    labels = [one.get_text() for one in lengths.get_yticklabels()]
    assert labels[0].startswith(changes[0].contrastive_base[0])


def test_an_unknown_kind_is_one_sentence_with_the_known_ones() -> None:
    with pytest.raises(DataError) as caught:
        small_shift().plot("recoverie")
    assert str(caught.value) == (
        "no figure of a shift is called 'recoverie'\n  recovery, magnitude, matching, drift"
    )


def test_a_shift_without_recovery_says_so() -> None:
    with pytest.raises(DataError, match="holds no recovery"):
        small_shift(recovery={}).plot()


@pytest.mark.parametrize("statistic", ["moved", "own"])
def test_a_trajectory_draws_every_curve_the_margin_and_the_answers(statistic: str) -> None:
    one = small_trajectory()
    left, right = one.plot(statistic).axes
    drawn = _lines(left)
    for concept in one.concepts:
        values = [point.estimate for point in concept.curves[statistic].points]
        assert drawn[f"concept {concept.index}"] == (list(one.xs), values)
    assert set(drawn["margin"][1]) == {one.margins[statistic]}
    assert one.answers is not None
    assert _lines(right)["answers"] == (list(one.xs), [a.estimate for a in one.answers])
    bands = [band.get_label() for band in left.collections]
    assert sorted(bands) == [f"interval of concept {i}" for i in range(4)]


def test_a_trajectory_of_another_statistic_is_one_sentence() -> None:
    with pytest.raises(DataError, match="unknown statistic 'mowed'\n  moved, own"):
        small_trajectory().plot("mowed")


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_words_are_drawn_as_text_without_a_warning(kind: str, tmp_path) -> None:
    figure = small_shift(tuple((one,) for one in HOSTILE)).plot(kind)
    figure.savefig(tmp_path / "a.png")
    texts = _texts(figure)
    assert max(map(len, texts)) < 120
    assert not any(letter in text for text in texts for letter in "\u202e\x00\n")


def test_pyplot_knows_nothing_of_it_and_no_setting_is_changed() -> None:
    import matplotlib
    from matplotlib import _pylab_helpers

    before = dict(matplotlib.rcParams)
    for kind in KINDS:
        small_shift().plot(kind)
    small_trajectory().plot()
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs, "where pyplot keeps its figures"


def test_a_notebook_shows_it_at_once() -> None:
    from matplotlib.figure import Figure

    figure: Any = small_shift().plot()
    assert isinstance(figure, Figure)
    data, size = figure._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 1040, "height": 440}
