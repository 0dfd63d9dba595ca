"""Settings that would do nothing are refused, each with a sentence that names it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pinn_tf.errors import RunError
from pinn_tf.runtime import devices, supported
from pinn_tf.runtime.supported import refuse_unsupported
from tf_trainings import quiet


@pytest.mark.parametrize(
    "settings",
    [
        {"devices": 2},
        {"strategy": "ddp"},
        {"pin_memory": True},
        {"num_workers": 1, "persistent_workers": True},
        {"accelerator": "tpu"},
    ],
)
def test_what_one_process_cannot_honour_is_refused(settings):
    name = list(settings)[-1]
    with pytest.raises(RunError, match=f"^{name}=") as caught:
        refuse_unsupported(quiet(**settings))
    assert "\n" not in str(caught.value)


def test_one_of_several_processes_is_told_so(monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=r"torchrun started 2 processes, but .* runs in one"):
        refuse_unsupported(quiet())


def test_on_gpus_all_of_them_and_warnings_cannot_be_had(monkeypatch):
    gpus = [SimpleNamespace(name=f"GPU:{i}") for i in range(2)]
    for module in (devices, supported):
        monkeypatch.setattr(module.tf.config, "list_physical_devices", lambda kind: gpus)
    refuse_unsupported(quiet(accelerator="gpu"))
    for setting in ({"devices": "auto"}, {"deterministic": "warn"}):
        with pytest.raises(RunError, match=f"^{next(iter(setting))}="):
            refuse_unsupported(quiet(accelerator="gpu", **setting))


def test_what_has_an_effect_or_asks_for_nothing_is_let_through():
    refuse_unsupported(
        quiet(devices="auto", deterministic="warn", num_workers=2, prefetch_factor=3, compile=True)
    )
    refuse_unsupported(quiet(deterministic=False, precision="16-mixed", accelerator="auto"))
