"""Where samples of base concepts lie among the tuned ones, and what that is called."""

import torch

from shiftlens.shift.flow import flow


def _shared_out(*counts: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [(i, j) for i, j, n in counts for _ in range(n)]
    both = torch.tensor(rows)
    return both[:, 0], both[:, 1]


def test_samples_are_counted_and_named_from_both_sides() -> None:
    # 0 stays; 1 falls in two; 2 and 3 become one; 4 is scattered, and tuned 4 comes from all.
    labels, others = _shared_out(
        *((0, 0, 20), (1, 1, 10), (1, 2, 9), (2, 3, 10), (3, 3, 10)),
        *((4, 0, 4), (4, 1, 3), (4, 2, 3), (4, 4, 2), (0, 4, 3), (1, 4, 3), (2, 4, 3), (3, 4, 1)),
    )
    found = flow(labels, others, 5, 5)
    assert found.counts[0] == (20, 0, 0, 0, 3)
    assert sum(map(sum, found.counts)) == len(labels)
    assert found.base == ("kept", "split", "merged", "merged", "vanished")
    assert found.tuned == ("kept", "piece", "piece", "merged", "born")
    assert found.to_dict()["base"] == list(found.base)


def test_the_same_dictionary_on_both_sides_is_kept() -> None:
    labels = torch.arange(40) % 4
    found = flow(labels, labels, 4, 4)
    assert set(found.base) | set(found.tuned) == {"kept"}
    # The twin that must fail: labels drawn anew keep nothing.
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    again = flow(labels, labels[order], 4, 4)
    assert "kept" not in again.base
