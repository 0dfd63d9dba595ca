"""Laws of the one converter to the types of JSON."""

import json
import math
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pinn_data.json_values import as_json

_PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()
_RICH = (
    _PLAIN
    | st.floats(-1e6, 1e6, width=32).map(np.float32)
    | st.integers(-100, 100).map(np.int64)
    | st.lists(st.integers(-100, 100), max_size=3).map(np.array)
    | st.just(Path("a/b"))
)


def _nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=3)
        ),
        max_leaves=8,
    )


@given(_nested(_RICH | st.just(math.nan)))
def test_everything_comes_back_from_json_as_it_was_written(value):
    written = as_json(value, not_finite=str)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert as_json(written, not_finite=str) == written


def test_numbers_paths_and_keys_become_pythons_and_text():
    value = {1: (np.float32(0.5), np.arange(2), Path("a")), "n": math.inf}
    assert as_json(value, lambda _: None) == {"1": [0.5, [0, 1], str(Path("a"))], "n": None}
    assert as_json(value)["n"] == math.inf
