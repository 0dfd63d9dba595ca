"""Where arithmetic runs and in which precision is what was asked for, or one sentence says why not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tensorflow as tf
from pinn_tf.errors import RunError
from pinn_tf.runtime import devices
from pinn_tf.runtime.devices import device_of, network_precision, on_device, resolved_precision


@pytest.fixture
def machine(monkeypatch):
    """``machine(gpus, system)``: what TensorFlow sees."""

    def pretended(gpus: int, system: str = "Linux") -> None:
        found = [SimpleNamespace(name=f"GPU:{i}") for i in range(gpus)]
        monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: found)
        monkeypatch.setattr(devices.platform, "system", lambda: system)

    return pretended


@pytest.mark.parametrize(
    ("asked", "gpus", "system", "expected"),
    [
        ("auto", 1, "Linux", "GPU:0"),
        ("auto", 1, "Darwin", "GPU:0"),
        ("auto", 0, "Linux", "CPU:0"),
        ("gpu", 2, "Linux", "GPU:0"),
        ("cuda", 1, "Linux", "GPU:0"),
        ("mps", 1, "Darwin", "GPU:0"),
        ("cpu", 1, "Linux", "CPU:0"),
    ],
)
def test_the_device_of_an_accelerator(machine, asked, gpus, system, expected):
    machine(gpus, system)
    assert device_of(asked) == expected


@pytest.mark.parametrize(
    ("asked", "gpus", "system"),
    [
        ("gpu", 0, "Linux"),
        ("cuda", 0, "Linux"),
        ("mps", 1, "Linux"),
        ("cuda", 1, "Darwin"),
        ("tpu", 1, "Linux"),
    ],
)
def test_an_accelerator_that_is_not_there(machine, asked, gpus, system):
    machine(gpus, system)
    with pytest.raises(RunError, match=f"accelerator='{asked}' .* choose 'cpu' or 'auto'"):
        device_of(asked)


def test_auto_is_bfloat16_where_the_processor_has_it(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "_CPU_INFO", info)
    for flags, expected in (("avx2", "32-true"), ("avx512_bf16", "bf16-mixed"), ("amx_bf16", "bf16-mixed")):
        info.write_text(f"flags : sse {flags} fma\n")
        assert resolved_precision("CPU:0", "auto") == expected
    info.unlink()
    assert resolved_precision("CPU:0", "auto") == "32-true"
    for capability, expected in (((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")):
        monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: ["gpu"])
        monkeypatch.setattr(
            devices.tf.config.experimental,
            "get_device_details",
            lambda device, c=capability: {"compute_capability": c},
        )
        assert resolved_precision("GPU:0", "auto") == expected


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_precision_that_was_named_is_taken(precision):
    assert resolved_precision("CPU:0", precision) == precision
    assert network_precision(precision) in ("float32", "mixed_bfloat16", "mixed_float16")


def test_what_is_made_on_a_device_lies_there():
    with on_device("CPU:0"):
        assert tf.Variable(1.0).device.endswith("CPU:0")
