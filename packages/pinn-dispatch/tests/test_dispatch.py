"""The dispatchers: bridged first, then exactly the backend that the config names, then its own answer."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pinn_config import (
    ConfigError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    dataclass_to_legacy_dict,
    legacy,
)
from pinn_config.validation import field_types
from pinn_dispatch import dispatch
from pinn_dispatch.dispatch import (
    load_inference_bundle_with_backend,
    reconstruct,
    run_cdi_example_with_backend,
    save_with_backend,
    train,
    train_cdi_model_with_backend,
)
from pinn_dispatch.errors import BackendUnavailableError, DispatchError


@pytest.fixture(autouse=True)
def restored_dictionary():
    before = dict(legacy.cfg)
    yield
    legacy.cfg.clear()
    legacy.cfg.update(before)


def _config(folder, **settings):
    return TrainingConfig(ModelConfig(N=16), **{"backend": "pytorch", "output_dir": folder} | settings)


def _calls(config, scan):
    """Every dispatcher, as calls without arguments."""
    return {
        "train": lambda: train(scan, config),
        "train_cdi_model": lambda: train_cdi_model_with_backend(scan, scan, config),
        "run_cdi_example": lambda: run_cdi_example_with_backend(scan, scan, config),
        "load_inference_bundle": lambda: load_inference_bundle_with_backend(config.output_dir, config),
        "save_inference_bundle": lambda: save_with_backend({}, config),
    }


_NAMES = ["train", "train_cdi_model", "run_cdi_example", "load_inference_bundle", "save_inference_bundle"]


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("wanted", ["tensorflow", "pytorch"])
def test_the_dictionary_is_bridged_before_the_backend_is_imported(tmp_path, scan, monkeypatch, name, wanted):
    config = _config(tmp_path, backend=wanted, nepochs=77)
    seen = []

    def load(name):
        seen.append((name, {key: legacy.cfg[key] for key in dataclass_to_legacy_dict(config)}))
        raise KeyboardInterrupt

    monkeypatch.setattr(dispatch, "load_backend", load)
    legacy.cfg["nepochs"] = -1
    with pytest.raises(KeyboardInterrupt):
        _calls(config, scan)[name]()
    assert seen == [(wanted, dataclass_to_legacy_dict(config))]


def test_a_reconstruction_bridges_its_config(tmp_path, scan, backend):
    train(scan, _config(tmp_path))
    config = InferenceConfig(ModelConfig(N=16), n_groups=5, output_dir=tmp_path / "image")
    reconstruct(tmp_path, scan, config)
    expected = dataclass_to_legacy_dict(config)
    assert {key: legacy.cfg[key] for key in expected} == expected
    assert "nepochs" not in legacy.cfg
    before = dict(legacy.cfg)
    reconstruct(tmp_path, scan)
    assert legacy.cfg == before


@pytest.mark.parametrize("name", _NAMES)
def test_an_unknown_backend_is_a_value_error_that_says_which_there_are(tmp_path, scan, name):
    config = _config(tmp_path)
    config.backend = "jax"
    before = dict(legacy.cfg)
    with pytest.raises(ValueError, match=r"backend must be one of 'tensorflow', 'pytorch', not 'jax'") as e:
        _calls(config, scan)[name]()
    assert isinstance(e.value, ConfigError) and legacy.cfg == before


def test_so_it_is_for_a_reconstruction(tmp_path, scan):
    config = InferenceConfig(ModelConfig(), tmp_path, output_dir=tmp_path)
    config.backend = "jax"
    for call in (
        lambda: load_inference_bundle_with_backend(tmp_path, config),
        lambda: save_with_backend({}, config),
        lambda: reconstruct(tmp_path, scan, config),
    ):
        with pytest.raises(ValueError, match=r"backend must be one of 'tensorflow', 'pytorch', not 'jax'"):
            call()


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize(
    ("wanted", "phrases"),
    [
        ("pytorch", ("PyTorch backend selected", "pip install torch>=2.2")),
        ("tensorflow", ("TensorFlow backend selected", "pip install tensorflow")),
    ],
)
def test_a_missing_framework_is_a_runtime_error_and_nothing_else_is_tried(
    tmp_path, scan, provide, name, wanted, phrases
):
    provide(framework_found=False, pytorch="fake_backend", tensorflow="fake_backend")
    with pytest.raises(RuntimeError) as caught:
        _calls(_config(tmp_path, backend=wanted), scan)[name]()
    assert isinstance(caught.value, BackendUnavailableError)
    assert all(phrase in str(caught.value) for phrase in phrases)
    assert not list(tmp_path.iterdir())


def test_the_answer_is_that_of_the_backend_with_its_name(tmp_path, scan, backend):
    config = _config(tmp_path)
    amplitude, phase, results = run_cdi_example_with_backend(scan, scan, config, do_stitching=True)
    np.testing.assert_allclose(amplitude * np.exp(1j * phase), results["object"], atol=1e-6)
    assert results["backend"] == "pytorch" and results["bundle_path"].is_file()
    assert run_cdi_example_with_backend(scan, None, config)[:2] == (None, None)
    assert train_cdi_model_with_backend(scan, scan, config)["backend"] == "pytorch"
    model, params = load_inference_bundle_with_backend(tmp_path, config)
    assert backend.CALLS[-1]["model_name"] == "diffraction_to_obj" and params == {}
    assert list(model.weights) == ["conv/kernel"]
    load_inference_bundle_with_backend(tmp_path, config, "autoencoder")
    assert backend.CALLS[-1]["model_name"] == "autoencoder"


def test_every_argument_arrives(tmp_path, scan, backend):
    config, execution = _config(tmp_path), PyTorchExecutionConfig(learning_rate=0.0123)
    run_cdi_example_with_backend(scan, scan, config, True, False, True, 14, False, execution)
    call = backend.CALLS[-1]
    assert call["scan"] is scan and call["validation"] is scan and call["config"] is config
    assert (call["flip_x"], call["flip_y"], call["transpose"], call["M"]) == (True, False, True, 14)
    assert call["execution"] is execution
    train_cdi_model_with_backend(scan, None, config, execution)
    assert backend.CALLS[-1]["execution"] is execution
    train_cdi_model_with_backend(scan, None, config)
    assert backend.CALLS[-1]["execution"] is None


def test_execution_settings_never_reach_the_dictionary(tmp_path, scan, backend):
    execution = PyTorchExecutionConfig(learning_rate=0.0123, accum_steps=3)
    run_cdi_example_with_backend(scan, scan, _config(tmp_path), torch_execution_config=execution)
    only = field_types(PyTorchExecutionConfig).keys() - field_types(TrainingConfig).keys()
    for found in (backend.CALLS[-1]["legacy"], legacy.cfg):
        assert not only & found.keys() and 0.0123 not in found.values()


@pytest.mark.parametrize("wanted", ["tensorflow", "pytorch"])
def test_execution_settings_reach_either_backend_wherever_something_is_computed(
    tmp_path, scan, provide, wanted
):
    import fake_backend

    provide(**{wanted: "fake_backend"})
    config, execution = _config(tmp_path, backend=wanted), PyTorchExecutionConfig(accelerator="auto")
    train_cdi_model_with_backend(scan, scan, config, torch_execution_config=execution)
    calls = [
        lambda given: train(scan, config, given),
        lambda given: train_cdi_model_with_backend(scan, scan, config, torch_execution_config=given),
        lambda given: run_cdi_example_with_backend(scan, scan, config, torch_execution_config=given),
        lambda given: load_inference_bundle_with_backend(tmp_path, config, torch_execution_config=given),
        lambda given: reconstruct(tmp_path, scan, None, given, backend=wanted),
    ]
    for call in calls:
        for given in (execution, None):
            call(given)
            assert fake_backend.CALLS[-1]["execution"] is given


def test_what_is_no_execution_config_gets_a_sentence_after_the_bridge(tmp_path, scan, backend):
    config = _config(tmp_path, nepochs=78)
    for call in (
        lambda: train_cdi_model_with_backend(scan, scan, config, {"learning_rate": 1}),
        lambda: run_cdi_example_with_backend(scan, scan, config, torch_execution_config="cpu"),
        lambda: load_inference_bundle_with_backend(tmp_path, config, torch_execution_config=True),
    ):
        legacy.cfg["nepochs"] = -1
        with pytest.raises(DispatchError, match=r"^torch_execution_config is a \w+, but .* leave it out$"):
            call()
        assert legacy.cfg["nepochs"] == 78 and not backend.CALLS


def test_an_archive_is_saved_where_the_config_or_the_caller_says(tmp_path, scan, backend):
    config = _config(tmp_path / "first")
    results = train_cdi_model_with_backend(scan, None, config)
    written = results["bundle_path"].read_bytes()
    assert save_with_backend(results, _config(tmp_path / "a")) == tmp_path / "a" / "wts.h5.zip"
    assert save_with_backend(results, config, str(tmp_path / "b")) == tmp_path / "b" / "wts.h5.zip"
    assert all((tmp_path / name / "wts.h5.zip").read_bytes() == written for name in "ab")
    asked = InferenceConfig(ModelConfig(N=16), tmp_path, output_dir=tmp_path / "c", backend="pytorch")
    assert save_with_backend(results, asked) == tmp_path / "c" / "wts.h5.zip"


def test_what_cannot_be_saved_gets_a_sentence(tmp_path, scan, backend):
    with pytest.raises(DispatchError, match="no folder for the archive was given: set bundle_dir"):
        save_with_backend({}, _config(Path()))
    foreign = {"backend": "tensorflow"}
    with pytest.raises(DispatchError, match=r"by the backend 'tensorflow', but config\.backend is 'pytorch'"):
        save_with_backend(foreign, _config(tmp_path))
    assert not backend.CALLS


def test_the_historical_signatures():
    names = list(inspect.signature(run_cdi_example_with_backend).parameters)
    turns = ["flip_x", "flip_y", "transpose"]
    assert names == [
        "train_data",
        "test_data",
        "config",
        *turns,
        "M",
        "do_stitching",
        "torch_execution_config",
    ]
    assert list(inspect.signature(train_cdi_model_with_backend).parameters)[:3] == names[:3]
    loader = inspect.signature(load_inference_bundle_with_backend).parameters
    assert list(loader) == ["bundle_dir", "config", "model_name", "torch_execution_config"]
    assert loader["model_name"].default == "diffraction_to_obj"


_CHILD = """
import json, sys
from pinn_config import ModelConfig, TrainingConfig, legacy
from pinn_dispatch import dispatch
wanted, folder, absent = sys.argv[1:]
if absent:
    sys.modules[absent] = None  # as if it were not installed
config = TrainingConfig(ModelConfig(), backend=wanted, nepochs=79, output_dir=folder)
for call in (
    lambda: dispatch.train_cdi_model_with_backend(None, None, config),
    lambda: dispatch.run_cdi_example_with_backend(None, None, config),
    lambda: dispatch.load_inference_bundle_with_backend(folder, config),
    lambda: dispatch.save_with_backend({}, config),
):
    legacy.cfg["nepochs"] = -1
    try:
        call()
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        print(json.dumps([kinds, str(error), legacy.cfg["nepochs"], legacy.cfg["backend"]]))
print(json.dumps(sorted(name for name, module in sys.modules.items() if module is not None)))
"""
_FOREIGN = {
    "tensorflow": {"torch", "lightning", "pinn_torch", "ptycho_torch"},
    "pytorch": {"tensorflow", "keras", "pinn_tf", "ptycho"},
}


def _child(wanted, folder, absent=""):
    """What each dispatcher raised in an interpreter of its own, and the modules that it had in the end."""
    run = subprocess.run(
        [sys.executable, "-c", _CHILD, wanted, str(folder), absent],
        capture_output=True,
        text=True,
        check=True,
    )
    *raised, modules = [json.loads(line) for line in run.stdout.splitlines()]
    return raised, set(modules)


@pytest.mark.parametrize("wanted", _FOREIGN)
def test_choosing_one_backend_never_imports_the_other_framework(tmp_path, wanted):
    raised, modules = _child(wanted, tmp_path)
    assert len(raised) == 4  # nothing was given to work on, so each ends with a sentence
    assert all((epochs, backend) == (79, wanted) for _, _, epochs, backend in raised)
    assert not modules & _FOREIGN[wanted]


@pytest.mark.parametrize(
    ("wanted", "absent", "phrases"),
    [
        ("pytorch", "torch", ("PyTorch backend selected", "pip install torch>=2.2")),
        ("tensorflow", "tensorflow", ("TensorFlow backend selected", "pip install tensorflow>=2.16")),
    ],
)
def test_without_its_framework_a_backend_is_a_runtime_error_after_the_bridge(
    tmp_path, wanted, absent, phrases
):
    raised, modules = _child(wanted, tmp_path, absent)
    assert len(raised) == 4 and not modules & _FOREIGN[wanted]
    for kinds, message, epochs, backend in raised:
        assert "RuntimeError" in kinds and all(phrase in message for phrase in phrases), message
        assert (epochs, backend) == (79, wanted)


def test_tensorflow_is_delegated_to_its_workflow_module_without_pytorch(tmp_path):
    """By what an installed distribution says of itself, in an interpreter of its own."""
    package = tmp_path / "ptycho" / "workflows"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    for name, parameters in (
        (
            "train",
            "scan, config, execution=None, *, validation=None, seed=0, max_seconds=None, progress=None",
        ),
        ("reconstruct", "model, scan, config=None, execution=None, *, seed=0, progress=None"),
        (
            "run_cdi_example",
            "train_data, test_data, config, flip_x=False, flip_y=False, transpose=False, M=20, "
            "do_stitching=False, execution_config=None",
        ),
        ("train_cdi_model", "train_data, test_data, config, execution_config=None"),
        ("load_inference_bundle", "bundle_dir, model_name, execution_config=None"),
        ("save_inference_bundle", "results, bundle_dir"),
    ):
        with (package / "components.py").open("a") as file:
            file.write(f"def {name}({parameters}):\n    return {{'who': __name__ + '.{name}'}}\n")
    (tmp_path / "tensorflow.py").touch()
    about = tmp_path / "somebody-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pinn.backends]\ntensorflow = ptycho.workflows.components\n")
    code = f"""
import sys
from importlib import metadata
sys.path.insert(0, {str(tmp_path)!r})
(only,) = metadata.distributions(path=sys.path[:1])  # a real backend may be installed too
metadata.entry_points = lambda **wanted: only.entry_points.select(**wanted)
from pinn_config import ModelConfig, TrainingConfig
from pinn_dispatch.dispatch import train_cdi_model_with_backend
config = TrainingConfig(ModelConfig(), backend='tensorflow')
print(train_cdi_model_with_backend(None, None, config)['who'])
print([name for name in ('torch', 'lightning', 'pinn_torch') if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["ptycho.workflows.components.train_cdi_model", "[]"]
