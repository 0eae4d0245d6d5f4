"""Loading without chatter: whatever matters in it becomes an error of ours."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quiet_loading() -> Generator[None]:
    """Silence progress bars and load reports of transformers, and put everything back."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            # PEFT 0.21 asks transformers 5.2x for an attribute under its old name.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
