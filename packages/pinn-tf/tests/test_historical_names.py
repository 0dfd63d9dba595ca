"""The modules of `ptycho` hold names and nothing else, and those that clients import are there."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
from pathlib import Path

import ptycho
import pytest
from pinn_config import legacy

_ROOT = Path(ptycho.__file__).parent
_MODULES = sorted(
    path.relative_to(_ROOT.parent).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in _ROOT.rglob("*.py")
)


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_holds_a_docstring_named_re_exports_and_all(module):
    path = _ROOT.parent / (module.replace(".", "/") + ".py")
    path = path if path.is_file() else path.with_suffix("") / "__init__.py"
    docstring, *body = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
    exported: list[str] = []
    for node in body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            assert node.module.partition(".")[0] in ("pinn_tf", "pinn_config", "pinn_data", "pinn_archive")
            assert all(name.name != "*" for name in node.names)
            exported += [name.asname or name.name for name in node.names]
        else:
            assert isinstance(node, ast.Assign), ast.unparse(node)
            assert [ast.unparse(target) for target in node.targets] == ["__all__"]
            assert sorted(ast.literal_eval(node.value)) == sorted(exported)
    assert not body or "__all__" in path.read_text()


@pytest.mark.parametrize("module", _MODULES)
def test_every_name_is_there(module):
    found = importlib.import_module(module)
    assert all(hasattr(found, name) for name in getattr(found, "__all__", []))


# What ptychodus 1.7.0 calls, and with what: positional arguments, then names.
_CALLS = {
    "config.config.ModelConfig": (
        0,
        "N gridsize n_filters_scale model_type amp_activation object_big probe_big probe_mask pad_object "
        "probe_scale gaussian_smoothing_sigma",
    ),
    "config.config.TrainingConfig": (
        0,
        "model train_data_file test_data_file batch_size nepochs mae_weight nll_weight realspace_mae_weight "
        "realspace_weight nphotons positions_provided probe_trainable intensity_scale_trainable output_dir",
    ),
    "config.config.InferenceConfig": (0, "model model_path test_data_file debug output_dir"),
    "config.config.update_legacy_dict": (2, ""),
    "params.get": (1, ""),
    "raw_data.RawData.from_file": (1, ""),
    "raw_data.RawData.from_coords_without_pc": (
        0,
        "xcoords ycoords diff3d probeGuess scan_index objectGuess",
    ),
    "raw_data.RawData.generate_grouped_data": (2, "K nsamples gridsize"),
    "probe.set_probe_guess": (2, ""),
    "loader.load": (2, "which create_split"),
    "tf_helper.reassemble_position": (2, "M"),
    "model.params": (0, ""),
    "model_manager.save": (1, ""),
    "workflows.components.run_cdi_example": (3, ""),
    "workflows.components.load_inference_bundle": (1, ""),
    "workflows.components.save_outputs": (4, ""),
}


@pytest.mark.parametrize("name", _CALLS)
def test_what_a_client_calls_takes_what_it_gives(name):
    positional, named = _CALLS[name]
    module, _, attribute = name.partition(".")
    if module in ("config", "workflows"):
        inner, _, attribute = attribute.partition(".")
        module = f"{module}.{inner}"
    found = importlib.import_module(f"ptycho.{module}")
    for part in attribute.split("."):
        found = getattr(found, part)
    inspect.signature(found).bind(*[None] * positional, **dict.fromkeys(named.split()))


def test_the_parameters_are_one_dictionary():
    from ptycho import params

    assert params.cfg is legacy.cfg and params.get is legacy.get
    with pytest.raises(KeyError):
        params.get("no such parameter")


def test_configurations_are_pickled_with_placeholders_and_completed_later():
    from ptycho.config.config import InferenceConfig, ModelConfig, TrainingConfig

    model = ModelConfig(N=0, model_type="supervised")
    for config in (TrainingConfig(model=model), InferenceConfig(model=model, model_path=Path())):
        arrived = pickle.loads(pickle.dumps(config))  # noqa: S301
        arrived.model.N = 64
        assert arrived.model.N == 64 and config.model.N == 0
