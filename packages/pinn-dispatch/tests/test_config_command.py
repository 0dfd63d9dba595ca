"""`pinn config`: a template that changes nothing, and every problem with its line."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pinn_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from pinn_dispatch.cli.parser import build_parser
from pinn_dispatch.cli.shared.settings import inference_settings, training_settings
from pinn_dispatch.config_template import KINDS


def _args(command, *arguments):
    return build_parser().parse_args([command, "--output", "o", *map(str, arguments)])


@pytest.fixture
def written(pinn, tmp_path):
    """written(kind, *arguments): the path of a template that the command wrote."""

    def write(kind, *arguments):
        path = tmp_path / f"{kind}.yaml"
        code, out, err = pinn("config", "template", "--kind", kind, "-o", path, *arguments)
        assert (code, err) == (0, "") and str(path) in out
        return path

    return write


@pytest.mark.parametrize("kind", ["training", "execution"])
@pytest.mark.parametrize("N", [64, 128])
def test_a_template_changes_nothing_in_a_training(kind, N, written):
    plain, from_file = (training_settings(_args("train", *a)) for a in ((), ("--config", written(kind))))
    assert from_file.for_scan(N, 77) == plain.for_scan(N, 77)
    assert from_file.execution == plain.execution


@pytest.mark.parametrize("kind", ["inference", "execution"])
def test_a_template_changes_nothing_in_a_reconstruction(kind, written):
    assert inference_settings(_args("infer", "--config", written(kind))) == inference_settings(_args("infer"))


def test_a_template_may_name_the_backend(written):
    path = written("training", "--backend", "tensorflow")
    assert training_settings(_args("train", "--config", path)).config.backend == "tensorflow"
    config, _, chosen = inference_settings(
        _args("infer", "--config", written("inference", "--backend", "pytorch"))
    )
    assert (config.backend, chosen) == ("pytorch", True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_there_with_its_meaning(kind, pinn):
    code, text, _ = pinn("config", "template", "--kind", kind)
    assert code == 0
    parts = {
        "training": (TrainingConfig, ModelConfig, PyTorchExecutionConfig),
        "inference": (InferenceConfig, PyTorchExecutionConfig),
        "execution": (PyTorchExecutionConfig,),
    }[kind]
    lines = [line.strip().removeprefix("# ") for line in text.splitlines()]
    for item in (item for part in parts for item in fields(part)):
        if item.name not in ("model", "n_images"):
            (line,) = [line for line in lines if line.startswith(f"{item.name}: ")]
            assert item.metadata["help"] in line


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_sound(kind, written, pinn):
    path = written(kind)
    code, out, err = pinn("config", "validate", path)
    assert (code, err) == (0, "") and f"{path}: sound as settings of" in out


def test_a_template_writes_over_nothing(written, pinn):
    path = written("training")
    before = path.read_bytes()
    code, _, err = pinn("config", "template", "-o", path)
    assert code == 2 and "exists already" in err and path.read_bytes() == before


def test_every_problem_of_every_file_is_listed(pinn, tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("nepoch: 3\nmodel:\n  gridsize: 0\n")
    second.write_text("n_subsample: 0\nborder_px: -1\n")
    code, out, err = pinn("config", "validate", first, second, tmp_path / "nowhere.yaml")
    assert code == 2 and "5 problems" in err and err.count("\n") == 1
    nowhere = tmp_path / "nowhere.yaml"
    assert out.splitlines() == [
        f"{first}:1: unknown key 'nepoch': did you mean 'nepochs'?",
        f"{first}:3: model: gridsize must be >= 1, not 0",
        f"{second}:1: n_subsample must be >= 1, not 0",
        f"{second}:2: border_px must be >= 0, not -1",
        f"{nowhere}: no configuration file at {nowhere}: give the path of a YAML file.",
    ]


def test_the_recipe_of_the_command_holds_where_a_file_is_silent(pinn, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model:\n  architecture: cnn\n  decoder_last_amp_channels: 4\n")  # gridsize is 2 there
    assert pinn("config", "validate", path)[0] == 0


def test_a_reconstruction_takes_its_files_from_the_settings(pinn, backend, scan_file, tmp_path):
    assert pinn("train", "--data", scan_file, "--output", tmp_path / "run", "--quiet")[0] == 0
    settings = tmp_path / "infer.yaml"
    settings.write_text(f"model_path: {tmp_path / 'run'}\ntest_data_file: {scan_file}\nborder_px: 3\n")
    arguments = ("infer", "--config", settings, "--output", tmp_path / "image", "--quiet")
    assert pinn(*arguments, "--num-workers", 2)[0] == 0
    call = backend.CALLS[-1]
    assert call["config"].border_px == 3 and call["execution"].num_workers == 2
    assert call["config"].backend == "pytorch" and call["config"].model.N == call["scan"].N
    settings.write_text("border_px: -3\n")
    code, _, err = pinn(*arguments, "--model", tmp_path / "run", "--data", scan_file)
    assert code == 2 and "border_px must be >= 0" in err
