"""`pinn doctor` with the backends that are here: they work, and their devices are seen."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from pinn_dispatch.doctor.backends import backend_findings
from pinn_dispatch.registry import BACKENDS, installed_backends

pytestmark = pytest.mark.processes


def test_every_backend_that_is_installed_works(pinn):
    code, out, err = pinn("doctor", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert [name for name, works in report["backends"].items() if works] == installed_backends()
    told = [found["says"] for found in report["findings"] if "device" in found["subject"]]
    assert sum(says.startswith("cpu: ") for says in told) == len(installed_backends())


@pytest.mark.parametrize("name", BACKENDS)
def test_the_self_test_trains_and_reconstructs(name):
    if find_spec(BACKENDS[name].framework) is None:
        pytest.skip(f"{BACKENDS[name].title} is not installed")
    works, findings = backend_findings(name, runs=True, seconds=500)
    assert works, findings
    assert "16 patterns learned" in findings[-1].says or "16 patterns learned" in findings[-2].says
