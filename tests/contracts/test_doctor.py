"""`pinn doctor` with the backends that are here: they train and reconstruct, and their devices are seen."""

from __future__ import annotations

import json

import pytest
from pinn_dispatch.registry import installed_backends

pytestmark = pytest.mark.processes


def test_every_backend_that_is_installed_works(pinn):
    code, out, err = pinn("doctor", "--run", "--time-limit", 500, "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert [name for name, works in report["backends"].items() if works] == installed_backends()
    told = [found["says"] for found in report["findings"] if "device" in found["subject"]]
    assert sum(says.startswith("cpu: ") for says in told) == len(installed_backends())
    learned = [found["says"] for found in report["findings"] if "trained on 16 patterns" in found["says"]]
    assert len(learned) == len(installed_backends())
