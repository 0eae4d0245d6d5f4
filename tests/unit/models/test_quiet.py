"""Loading is quiet, and afterwards transformers is as loud as before."""

import warnings
from collections.abc import Iterator

import pytest
from transformers.utils import logging

from shiftlens.models.quiet import quiet_loading


@pytest.fixture(autouse=True)
def _given_back() -> Iterator[None]:
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    yield
    logging.set_verbosity(level)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
@pytest.mark.parametrize("fails", [True, False])
def test_what_was_set_is_set_again(bars: bool, level: int, fails: bool) -> None:
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    logging.set_verbosity(level)
    try:
        with quiet_loading():
            assert logging.get_verbosity() == logging.ERROR
            assert not logging.is_progress_bar_enabled()
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)


def test_other_warnings_are_still_heard() -> None:
    with quiet_loading():
        warnings.warn("`is_gradient_checkpointing` is old", FutureWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", UserWarning, stacklevel=1)
