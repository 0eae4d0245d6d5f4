"""One small Ray for all tests of this folder, which ends with them."""

from collections.abc import Iterator

import pytest
import torch

from shiftlens.distributed.session import connected


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A Ray of this process, with room for three workers."""
    with connected("local", cpus=3, gpus=0, weights=0):
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Serial runs are compared with workers of one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
