"""Archives that are damaged, forged or foreign, opened without a framework: one sentence."""

import dataclasses
import json
import zipfile

import pytest
from pinn_archive import ArchiveError, ModelPayload, write_archive
from pinn_config.configs import ModelConfig, TrainingConfig
from pinn_data.archives.stored_configs import read_archived_configs
from pinn_data.errors import ModelArchiveError


def plain(config):
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def archive(folder, **params):
    models = {"diffraction_to_obj": ModelPayload({})}
    return write_archive(folder, models=models, params=params, arrays={}, backend="pytorch", provenance={})


def test_the_configuration_of_a_training_comes_back(tmp_path):
    config = TrainingConfig(ModelConfig(N=32), nepochs=7)
    assert read_archived_configs(archive(tmp_path, config=plain(config)), "pytorch")[0] == config


@pytest.mark.parametrize(
    "config",
    [
        None,
        "abc",
        [["model", {}]],
        {},
        {"model": 3},
        {"model": "abc"},
        {"model": {"N": "sixty-four"}},
        {"model": {"N": [1]}},
        {"model": {}, "nepochs": {}},
        {"model": {}, "a\nb": 1},
    ],
)
def test_a_configuration_of_another_shape_or_type_is_refused(tmp_path, config):
    with pytest.raises(ModelArchiveError, match="is not one that this version knows") as caught:
        read_archived_configs(archive(tmp_path, config=config), "pytorch")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("execution", [3, "abc", [1], {"devices": [1]}, {"num_workers": -1}, {"odd": 1}])
def test_execution_settings_of_another_shape_or_type_are_refused(tmp_path, execution):
    path = archive(tmp_path, config=plain(TrainingConfig(ModelConfig())), execution=execution)
    with pytest.raises(ModelArchiveError, match="is not one that this version knows"):
        read_archived_configs(path, "pytorch")


def test_a_damaged_directory_is_a_damaged_archive(tmp_path):
    path = archive(tmp_path, config=plain(TrainingConfig(ModelConfig())))
    path.write_bytes(path.read_bytes().replace(b"PK\1\2", b"PK\1\3"))
    assert zipfile.is_zipfile(path)
    with pytest.raises(ArchiveError):
        read_archived_configs(path, "pytorch")


def test_an_archive_of_the_other_public_backend_names_both(tmp_path):
    path = tmp_path / "wts.h5.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("diffraction_to_obj/model.keras", b"")
    with pytest.raises(ModelArchiveError, match="tensorflow"):
        read_archived_configs(path, "pytorch")
