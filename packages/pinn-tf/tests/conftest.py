"""Hypothesis profile, steps without graphs, and models that were trained once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pinn_tf.runtime.requirements import require_tensorflow

# Before a test imports it: PyTorch, which may be in the same environment, can be loaded after it then.
require_tensorflow()

settings.register_profile(
    "pinn-tf",
    deadline=None,  # a shared machine has slow moments
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("pinn-tf")


@pytest.fixture
def eager():
    """TensorFlow's functions run as Python: a training of a few steps is over before a graph is made."""
    config = require_tensorflow().config
    config.run_functions_eagerly(True)
    yield
    config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """``trained(architecture, gridsize)``: the archive of a short training on `small_scan()`, made once, and
    without graphs, so that it does not depend on which test asks first."""
    from pinn_data.testing import small_scan
    from tf_trainings import small_training

    config = require_tensorflow().config

    archives: dict[tuple[str, int], Path] = {}

    def archive(architecture: str = "unrolled", gridsize: int = 1) -> Path:
        key = (architecture, gridsize)
        if key not in archives:
            folder = tmp_path_factory.mktemp(f"{architecture}{gridsize}")
            before = config.functions_run_eagerly()
            config.run_functions_eagerly(True)
            archives[key] = small_training(
                folder, small_scan(), architecture=architecture, gridsize=gridsize, learning_rate=0.05
            ).archive
            config.run_functions_eagerly(before)
        return archives[key]

    return archive
