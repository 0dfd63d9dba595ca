"""The historical dispatchers hand on what they were given, to whoever offers them."""

from __future__ import annotations

import inspect
from importlib import metadata

import pytest
from pinn_tf.errors import DispatchMissingError
from pinn_tf.historical import backend_selector

_NAMES = backend_selector.__all__


@pytest.mark.parametrize("name", _NAMES)
def test_without_pinn_dispatch_one_sentence_says_so(name, monkeypatch):
    monkeypatch.setattr(metadata, "entry_points", lambda **_: ())
    with pytest.raises(DispatchMissingError, match=f"{name} .*pip install pinn-dispatch"):
        getattr(backend_selector, name)(None, None, None)


@pytest.mark.parametrize("name", _NAMES)
def test_every_argument_is_handed_on_in_its_place(name, monkeypatch):
    class Point:
        @staticmethod
        def load():
            return lambda *given: given

    monkeypatch.setattr(metadata, "entry_points", lambda **asked: (Point,) if asked["name"] == name else ())
    function = getattr(backend_selector, name)
    given = {parameter: object() for parameter in inspect.signature(function).parameters}
    assert function(**given) == tuple(given.values())
