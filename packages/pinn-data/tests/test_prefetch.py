"""Working ahead changes neither order nor results, and stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.prefetch import prefetched


@given(st.lists(st.integers(), max_size=20), st.integers(0, 4))
def test_it_is_map(items: list[int], workers: int) -> None:
    assert list(prefetched(str, items, workers)) == list(map(str, items))


@given(st.integers(0, 4), st.integers(0, 10), st.integers(1, 3))
def test_no_more_than_asked_for_is_taken_ahead(workers: int, taken: int, ahead: int) -> None:
    seen: list[int] = []

    def watched() -> Iterator[int]:
        for number in range(30):
            seen.append(number)
            yield number

    results = prefetched(abs, watched(), workers, ahead)
    assert [next(results) for _ in range(taken)] == list(range(taken))
    assert len(seen) <= (taken + workers * ahead if taken else 0)
    results.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_reaches_the_caller_in_its_turn(workers: int) -> None:
    results = prefetched(lambda x: 1 // x, [1, 0, 1], workers)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
