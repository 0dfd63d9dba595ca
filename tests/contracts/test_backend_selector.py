"""The historical dispatchers of pinn-tf are those of pinn-dispatch, parameter for parameter."""

from __future__ import annotations

import inspect
from importlib import metadata

import pinn_dispatch.dispatch
import pytest
from pinn_tf.historical import backend_selector


@pytest.mark.parametrize("name", backend_selector.__all__)
def test_pinn_dispatch_offers_what_the_historical_name_promises(name):
    (point,) = metadata.entry_points(group="pinn.dispatch", name=name)
    offered = getattr(pinn_dispatch.dispatch, name)
    assert point.load() is offered
    promised = inspect.signature(getattr(backend_selector, name)).parameters
    asked = inspect.signature(offered).parameters
    assert [(p.name, p.default) for p in promised.values()] == [(p.name, p.default) for p in asked.values()]
