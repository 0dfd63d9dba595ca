"""A backend is the one that was named, or an error that says how to get it; never another one."""

from __future__ import annotations

import subprocess
import sys
import types
from importlib import metadata

import pytest
from pinn_dispatch import registry
from pinn_dispatch.backend import FUNCTIONS, Backend, shortcomings
from pinn_dispatch.errors import BackendUnavailableError, UnknownBackendError
from pinn_dispatch.registry import BACKENDS, installed_backends, load_backend


def test_unknown_name_is_a_value_error_with_both_literals():
    with pytest.raises(ValueError, match=r"'jax' is unknown: choose 'tensorflow' or 'pytorch'") as caught:
        load_backend("jax")
    assert isinstance(caught.value, UnknownBackendError)


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("pytorch", ("PyTorch backend selected", "pip install torch>=2.2")),
        ("tensorflow", ("TensorFlow backend selected", "pip install tensorflow")),
    ],
)
def test_not_installed_is_a_runtime_error_with_the_hint(name, phrases, provide):
    provide()
    with pytest.raises(RuntimeError) as caught:
        load_backend(name)
    assert all(phrase in str(caught.value) for phrase in phrases)


def test_never_a_fallback(provide):
    provide(pytorch="fake_backend")
    with pytest.raises(BackendUnavailableError, match="TensorFlow backend selected"):
        load_backend("tensorflow")


def test_missing_framework_is_told_before_anything_is_imported(provide):
    provide(framework_found=False, pytorch="a_module_that_must_not_be_imported")
    with pytest.raises(BackendUnavailableError, match=r"torch is not installed: run pip install torch>=2\.2"):
        load_backend("pytorch")


def test_broken_import_keeps_its_cause(provide):
    provide(pytorch="no_such_module_anywhere")
    with pytest.raises(BackendUnavailableError, match="PyTorch backend selected") as caught:
        load_backend("pytorch")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_two_packages_of_one_name_are_refused_by_their_names(tmp_path, monkeypatch):
    found = []
    for name, module in (("first", "a.b"), ("second", "c.d"), ("third", "a.b")):
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[pinn.backends]\npytorch = {module}\n")
    for distribution in metadata.distributions(path=[str(tmp_path)]):
        found += distribution.entry_points
    found.sort(key=lambda point: point.dist.name)
    monkeypatch.setattr(registry.metadata, "entry_points", lambda **_: found)
    with pytest.raises(
        BackendUnavailableError,
        match=r"^PyTorch backend selected, .* first \(a\.b\) and second \(c\.d\) and third .*; uninstall all",
    ):
        load_backend("pytorch")
    monkeypatch.setattr(registry.util, "find_spec", lambda name: object())
    found[:] = [found[0], found[2]]  # two that say the same contradict nobody
    with pytest.raises(BackendUnavailableError, match=r"cannot be imported \(No module named 'a'\)"):
        load_backend("pytorch")


def test_the_named_module_comes_back(backend):
    assert load_backend("pytorch") is backend


def test_a_module_without_the_functions_is_no_backend(provide):
    provide(pytorch="json")
    with pytest.raises(BackendUnavailableError, match=r"json is not a backend.*'train'"):
        load_backend("pytorch")


def test_installed_backends_lists_names_in_order(provide):
    provide(pytorch="fake_backend", tensorflow="fake_backend", unheard_of="fake_backend")
    assert installed_backends() == list(BACKENDS)


def _module(**functions):
    import fake_backend

    module = types.SimpleNamespace(**{name: getattr(fake_backend, name) for name in FUNCTIONS})
    vars(module).update(functions)
    return module


def test_signatures():
    assert shortcomings(_module()) == []
    more = _module(reconstruct=lambda model, scan, config, execution, *, seed, progress, extra=1: None)
    assert shortcomings(more) == []
    assert "reconstruct() needs 'extra', which is never passed" in shortcomings(
        _module(reconstruct=lambda model, scan, config, execution, *, seed, progress, extra: None)
    )
    assert any(
        "'scan'" in s
        for s in shortcomings(_module(reconstruct=lambda scan, model, config, execution, *, seed: 0))
    )
    assert shortcomings(_module(train=None)) == ["it has no function 'train'"]
    for name in FUNCTIONS:
        assert hasattr(Backend, name)
        assert shortcomings(_module(**{name: None})) == [f"it has no function {name!r}"]
    assert any("'M'" in s for s in shortcomings(_module(run_cdi_example=lambda a, b, config, **k: 0)))


def test_dispatch_imports_one_framework_at_most():
    """Asking for a backend, which may be missing, must not bring the other framework into the process."""
    code = (
        "import sys; from pinn_dispatch.registry import load_backend\n"
        "try: load_backend('tensorflow')\n"
        "except RuntimeError as error: print(error)\n"
        "print('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert all(line.startswith("TensorFlow backend selected") for line in out[:-1])
    assert out[-1] == "False"
