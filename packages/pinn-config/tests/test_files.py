"""Laws of YAML files: round trip, strictness, all problems at once, atomic writes."""

from __future__ import annotations

import builtins
import os
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from config_strategies import configs, executions, inferences, models, trainings
from hypothesis import given
from hypothesis import strategies as st
from pinn_config import (
    ConfigError,
    ConfigFileError,
    ConfigFileNotFoundError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    files,
)
from pinn_config.files import (
    from_mapping,
    load_config,
    load_mapping,
    load_run,
    save_config,
    save_run,
    to_yaml,
    write_template,
)


@given(configs | models | executions)
def test_reading_gives_back_what_was_saved(config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save_config(Path(folder, "new", "run.yaml"), config)
        assert load_config(path, type(config)) == config
        assert os.listdir(path.parent) == ["run.yaml"]


@given(configs, executions)
def test_a_run_is_one_file(config, execution) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save_run(Path(folder, "run.yaml"), config, execution)
        assert load_run(path, type(config)) == (config, execution)


@given(configs, executions)
def test_every_field_is_in_the_file_with_its_description(config, execution) -> None:
    lines = to_yaml(config, execution).splitlines()
    for part in (config, config.model, execution):
        for item in fields(part):
            if item.name not in ("model", "n_images"):
                found = [line for line in lines if line.strip().startswith(f"{item.name}: ")]
                assert any(line.count(f"  # {item.metadata['help']}") for line in found), item.name


@pytest.mark.parametrize("kind", [TrainingConfig, InferenceConfig])
def test_a_template_is_the_defaults(tmp_path: Path, kind) -> None:
    path = write_template(tmp_path / "run.yaml", kind)
    assert load_run(path, kind) == (kind(ModelConfig()), PyTorchExecutionConfig())
    assert "deprecated" not in path.read_text()
    assert "(sigmoid, swish, softplus, relu)" in path.read_text()
    with pytest.raises(FileExistsError, match="another name"):
        write_template(path, kind)


@pytest.mark.parametrize("kind", [ModelConfig, PyTorchExecutionConfig])
def test_a_template_of_a_part_is_its_defaults(tmp_path: Path, kind) -> None:
    assert load_config(write_template(tmp_path / "part.yaml", kind), kind) == kind()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_back_as_text(text: str) -> None:
    written = f"key: {files._scalar(text, 'key')}  # comment\n"
    assert yaml.load(written.encode(), files.StrictLoader) == {"key": text}


@given(st.floats(allow_nan=False) | st.integers(-(2**70), 2**70) | st.booleans() | st.none())
def test_any_number_is_read_back(value) -> None:
    found = yaml.load(f"key: {files._scalar(value, 'key')}\n", files.StrictLoader)["key"]
    assert type(found) is type(value) and found == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 1e9),
        ("1.5E-3", 1.5e-3),
        ("010", 10),
        ("+3", 3),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ("~", None),
        ("", None),
        ("TRUE", True),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value) -> None:
    found = yaml.load(f"key: {text}\n", files.StrictLoader)["key"]
    assert type(found) is type(value) and found == value


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_a_short_file_overrides_the_defaults(tmp_path: Path) -> None:
    path = written(
        tmp_path, "nphotons: 1e6\noutput_dir: out\nmodel:\n  N: 128\nexecution:\n  num_workers: 2\n"
    )
    config, execution = load_run(path, TrainingConfig)
    assert config == TrainingConfig(ModelConfig(N=128), nphotons=1e6, output_dir=Path("out"))
    assert execution == PyTorchExecutionConfig(num_workers=2)
    assert load_run(written(tmp_path, ""), TrainingConfig) == (
        TrainingConfig(ModelConfig()),
        PyTorchExecutionConfig(),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nepoch: 3\n", "unknown key 'nepoch': did you mean 'nepochs'?"),
        ("batchsize: 3\n", "did you mean 'batch_size'?"),
        ("N: 64\n", "'N' describes the network: write it under 'model:'"),
        ("probe.trainable: true\n", "'probe.trainable' is the legacy key of 'probe_trainable'"),
        ("num_workers: 2\n", "'num_workers' is an execution setting: write it under 'execution:'"),
        ("zzzzzz: 1\n", "unknown key 'zzzzzz': choose one of model, train_data_file,"),
        ("model:\n  gridsiz: 2\n", "model: unknown key 'gridsiz': did you mean 'gridsize'?"),
        ("model:\n  object.big: true\n", "write 'object_big'"),
        ("nepochs: 5 epochs\n", "nepochs must be a whole number, not '5 epochs'"),
        ("nepochs: 5.0\n", "nepochs must be a whole number, not 5.0"),
        ("nepochs:\n", "nepochs must be a whole number, not None"),
        ("n_subsample: all\n", "n_subsample must be a whole number or null, not 'all'"),
        ("probe_trainable: no\n", "probe_trainable must be true or false, not 'no'"),
        ("nphotons: true\n", "nphotons must be a number, not True"),
        ("output_dir: 3\n", "output_dir must be a path, not 3"),
        ("output_dir: [a, b]\n", "output_dir must be a path, not ['a', 'b']"),
        ("backend: torch\n", "backend must be one of 'tensorflow', 'pytorch', not 'torch'"),
        ("model: 3\n", "model must be a section of 'key: value' lines, not 3"),
        ("execution: [1]\n", "execution must be a section of 'key: value' lines, not [1]"),
        ("execution:\n  devices: two\n", "execution: devices must be a whole number or 'auto', not 'two'"),
        ("nepochs: 3\nnepochs: 4\n", "the key 'nepochs' is set twice"),
        ("3: 4\n", "the key 3 is not text"),
        ("- 1\n", "holds a list: it must hold 'key: value' lines"),
        ("just text\n", "holds a str"),
        ("nepochs: [1\n", "is not valid YAML"),
        ("nepochs: !!python/object/apply:os.mkdir [never]\n", "could not determine a constructor"),
        ("a: " + "[" * 5000 + "\n", "is not valid YAML"),
        ("nepochs: " + "9" * 5000 + "\n", "is not valid YAML"),
        ("nepochs: 1\n---\nnepochs: 2\n", "is not valid YAML"),
        ("\x00", "is not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigFileError) as caught:
        load_run(path, TrainingConfig)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert not Path("never").exists()


def test_every_problem_of_a_file_comes_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "nepoch: 3\nbatch_size: x\nmodel:\n  N: big\n  grid: 2\n")
    with pytest.raises(ConfigFileError) as caught:
        load_config(path, TrainingConfig)
    assert len(caught.value.problems) == 4
    assert isinstance(caught.value, ValueError)


def test_execution_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_workers must be >= 0"):
        load_run(written(tmp_path, "execution:\n  num_workers: -1\n"), TrainingConfig)


@given(
    st.lists(
        st.sampled_from(
            [b"nepochs", b"model", b": ", b"\n", b"  ", b"[", b"{", b"- ", b"&a ", b"*a", b"1", b'"', b"\xff"]
        )
    )
)
def test_any_bytes_give_a_config_or_a_config_error(tokens: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        path.write_bytes(b"".join(tokens))
        try:
            config = load_config(path, TrainingConfig)
        except ConfigFileError:
            return
    assert isinstance(config, TrainingConfig)


PYYAML_ONLY = [
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "!!binary 'a'",
    "!!timestamp 'no'",
    "!!timestamp '0001-01-01T00:00:00+23:59'",
    "!!bool 'perhaps'",
    "!!int 'x'",
    "!!float 'x'",
    "!!str [a]",
    "!!python/name:os.system",
    "!!python/module:antigravity",
    "!local 3",
]


@pytest.mark.parametrize("value", PYYAML_ONLY)
def test_a_tag_builds_text_numbers_lists_and_dicts_or_nothing(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, f"nepochs: {value}\n")
    with pytest.raises(ConfigFileError, match="is not valid YAML"):
        load_config(path, TrainingConfig)


@pytest.mark.parametrize("deep", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_what_is_nested_too_deep_is_refused_before_it_takes_long(tmp_path: Path, deep: str) -> None:
    path = written(tmp_path, "model:\n  " + deep * (files.MAX_BYTES // len(deep) - 10))
    with pytest.raises(ConfigFileError, match="nested more than 16 levels deep"):
        load_config(path, TrainingConfig)


def test_lists_and_sections_may_be_nested_up_to_the_limit() -> None:
    value: dict = {}
    text = "key: " + "[" * 15 + "1" + "]" * 15
    for _ in range(15):
        value = {"key": value}
    assert yaml.load(text, files.StrictLoader)["key"][0][0][0]
    assert yaml.load(yaml.safe_dump(value), files.StrictLoader) == value


def test_what_a_message_quotes_is_short_and_one_line(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 14))
    quoted = {
        "an alias for a key": bomb + "? *a13\n: 1\n",
        "a long key": '"' + "x" * 100_000 + '": 1\n',
        "a key of several lines": '"a\\nb\\e[2J": 1\n',
        "half a character for a key": '"\\ud800": 1\n',
        "a long tag": "nepochs: !" + "x" * 100_000 + " 3\n",
        "an odd tag": "nepochs: !<\\x1b> 3\n",
        "many keys": "".join(f"unknown_{n}: 1\n" for n in range(20_000)),
        "a long number": "nepochs: " + "9" * 5000 + "\n",
    }
    for what, text in quoted.items():
        with pytest.raises(ConfigFileError) as caught:
            load_config(written(tmp_path, text), TrainingConfig)
        assert str(caught.value).isprintable(), what
        assert len(str(caught.value)) < 12_000, what


def test_unknown_keys_beyond_the_first_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"unknown key 'k4'.*; .*: 7 more keys are unknown"):
        load_config(written(tmp_path, "".join(f"k{n}: 1\n" for n in range(12))), TrainingConfig)


def test_aliases_do_not_explode(tmp_path: Path) -> None:
    bomb = (
        "a0: &a0 [x, x]\n"
        + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
        + "nepochs: *a59\n"
    )
    with pytest.raises(ConfigFileError) as caught:
        load_config(written(tmp_path, bomb), TrainingConfig)
    assert "nepochs must be a whole number" in str(caught.value)


def test_a_missing_file_a_folder_and_a_huge_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileNotFoundError, match="no configuration file at"):
        load_mapping(tmp_path / "absent.yaml")
    with pytest.raises(ConfigFileError, match="is a folder"):
        load_mapping(tmp_path)
    (tmp_path / "big.yaml").write_bytes(b"#" * (files.MAX_BYTES + 1))
    with pytest.raises(ConfigFileError, match="too many for a configuration file"):
        load_mapping(tmp_path / "big.yaml")


def test_a_mapping_may_hold_the_network_itself() -> None:
    model = ModelConfig(N=8)
    assert from_mapping({"model": model, "nepochs": 3}, TrainingConfig, "flags") == TrainingConfig(
        model, nepochs=3
    )


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="rename the file"):
        save_config(tmp_path / "run.yaml", TrainingConfig(ModelConfig(), train_data_file=Path("\udcff")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "write"])
@pytest.mark.parametrize("there_before", [True, False])
def test_an_interrupted_save_keeps_what_was_there(
    tmp_path: Path, monkeypatch, step: str, there_before: bool
) -> None:
    path = tmp_path / "run.yaml"
    if there_before:
        save_config(path, ModelConfig(N=8))
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}

    def fail(*arguments):
        raise OSError("disk full")

    if step == "write":
        real_open = builtins.open

        def half_open(*arguments, **keywords):
            file = real_open(*arguments, **keywords)
            monkeypatch.setattr(file, "write", fail)
            return file

        monkeypatch.setattr(files, "open", half_open, raising=False)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        save_config(path, ModelConfig(N=16))
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


@given(trainings, inferences)
def test_saving_replaces_the_whole_file(training, inference) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.yaml")
        save_config(path, training)
        save_config(path, inference)
        assert path.read_text(encoding="utf-8") == to_yaml(inference)
