"""The two commands: every flag, what beats what, and what comes of it. Nothing is trained here."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path

import pinn_torch.components
import pinn_torch.workflows
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
from pinn_config.errors import ConfigError
from pinn_config.execution import PyTorchExecutionConfig
from pinn_config.files import save_run
from pinn_data.files.npz import write_scan
from pinn_torch.cli import build_parser, inference, main, train
from pinn_torch.cli.settings import run_settings
from pinn_torch.cli.shared import (
    build_execution_config_from_args,
    execution_given,
    resolve_accelerator,
    validate_paths,
)
from pinn_torch.errors import UsageError
from pinn_torch.settings.precedence import Level
from torch_scans import small_scan

# Specification, section 7.1: flag, default, field, an argument, its value; then section 7.2.
_TRAINING_TABLE = [
    ("--accelerator", "auto", "accelerator", "mps", "mps"),
    ("--num-workers", 0, "num_workers", "3", 3),
    ("--learning-rate", 1e-3, "learning_rate", "5e-4", 5e-4),
    ("--scheduler", "Default", "scheduler", "Adaptive", "Adaptive"),
    ("--accumulate-grad-batches", 1, "accum_steps", "4", 4),
    ("--checkpoint-save-top-k", 1, "checkpoint_save_top_k", "-1", -1),
    ("--checkpoint-monitor", "val_loss", "checkpoint_monitor_metric", "train_loss", "train_loss"),
    ("--checkpoint-mode", "min", "checkpoint_mode", "max", "max"),
    ("--early-stop-patience", 100, "early_stop_patience", "7", 7),
    ("--logger", "mlflow", "logger_backend", "csv", "csv"),
]
_INFERENCE_TABLE = [
    ("--accelerator", "auto", "accelerator", "cpu", "cpu"),
    ("--num-workers", 0, "num_workers", "2", 2),
    ("--inference-batch-size", None, "inference_batch_size", "32", 32),
]
_SWITCHES = [
    ("--deterministic", "deterministic", True),
    ("--no-deterministic", "deterministic", False),
    ("--enable-checkpointing", "enable_checkpointing", True),
    ("--disable-checkpointing", "enable_checkpointing", False),
    ("--quiet", "enable_progress_bar", False),
]
_COMMANDS = {"training": train, "inference": inference}
_ROWS = [("training", *row) for row in _TRAINING_TABLE] + [("inference", *row) for row in _INFERENCE_TABLE]


def _parsed(mode, *arguments):
    return _COMMANDS[mode].build_parser().parse_args(list(map(str, arguments)))


def _settings(mode, *arguments):
    return run_settings(_parsed(mode, *arguments), mode, _COMMANDS[mode].DEFAULTS)


@pytest.mark.parametrize(("mode", "flag", "default", "field", "text", "value"), _ROWS)
def test_the_tables_of_the_specification(mode, flag, default, field, text, value):
    plain = _parsed(mode)
    assert getattr(plain, field) == default and field not in plain.given
    made = build_execution_config_from_args(plain, mode)
    assert getattr(made, field) == default
    for spelling in (flag, flag.replace("-", "_").replace("__", "--", 1)):
        for arguments in ([spelling, text], [f"{spelling}={text}"]):
            typed = _parsed(mode, *arguments)
            assert getattr(typed, field) == value and typed.given == {field}
            made = build_execution_config_from_args(typed, mode)
            assert getattr(made, field) == value
            others = [item.name for item in fields(made) if item.name != field]
            reference = build_execution_config_from_args(plain, mode)
            assert all(getattr(made, name) == getattr(reference, name) for name in others)


@pytest.mark.parametrize(("flag", "field", "value"), _SWITCHES)
def test_the_switches_of_the_specification(flag, field, value):
    made = build_execution_config_from_args(_parsed("training"), "training")
    assert (made.deterministic, made.enable_checkpointing, made.enable_progress_bar) == (True, True, True)
    for spelling in (flag, "--" + flag[2:].replace("-", "_")):
        args = _parsed("training", spelling)
        assert getattr(build_execution_config_from_args(args, "training"), field) is value
        assert execution_given(args) == {field}


def test_checkpointing_is_switched_one_way():
    with pytest.raises(UsageError, match="not allowed with argument"):
        _parsed("training", "--enable-checkpointing", "--disable-checkpointing")


def _all_flags():
    for mode, command in _COMMANDS.items():
        for action in command.build_parser()._actions:
            for flag in action.option_strings:
                if flag.startswith("--") and flag != "--help":
                    yield mode, flag, action


@pytest.mark.parametrize(("mode", "flag"), [(mode, flag) for mode, flag, _ in _all_flags()])
def test_every_flag_has_both_spellings(mode, flag):
    action = next(a for m, f, a in _all_flags() if (m, f) == (mode, flag))
    assert "_" not in flag
    text = []
    if action.nargs != 0:
        value = action.choices[0] if action.choices else "1"
        text = [value]
    kebab, snake = (
        vars(_parsed(mode, spelling, *text)) for spelling in (flag, "--" + flag[2:].replace("-", "_"))
    )
    assert kebab == snake
    assert kebab["given"] and action.help


def test_every_setting_of_a_run_has_a_flag():
    """But for what the file says, and what has one value only."""
    typed = vars(_parsed("training"))
    execution = {item.name for item in fields(PyTorchExecutionConfig)}
    for kind in (ModelConfig, TrainingConfig):
        names = {item.name for item in fields(kind)} - {"model", "n_images"}
        assert names - typed.keys() <= {"N", "backend", "positions_provided"}
    assert execution - typed.keys() == {
        "enable_progress_bar",
        "inference_batch_size",
        "middle_trim",
        "pad_eval",
    }
    names = {item.name for item in fields(InferenceConfig)} - {"model", "n_images", "backend"}
    assert names <= vars(_parsed("inference")).keys()


def test_defaults_are_those_of_the_specification():
    found = _parsed("training")
    for config in (ModelConfig(), TrainingConfig(ModelConfig())):
        for item in fields(config):
            if item.name in train.DEFAULTS:
                assert getattr(found, item.name) == getattr(config, item.name), item.name
    assert found.n_groups == 512 and found.output_dir == Path("training_outputs")
    assert _parsed("inference").n_groups is None


# What cli_flag_rationale.md shows, word for word.
_TRAIN_CPU = r"""
python -m ptycho_torch.train \
  --train_data_file datasets/train.npz \
  --output_dir outputs/ \
  --n_images 512 \
  --max_epochs 10 \
  --accelerator cpu \
  --deterministic \
  --num-workers 4 \
  --learning-rate 5e-4
"""
_TRAIN_GPU = r"""
python -m ptycho_torch.train \
  --train_data_file datasets/train.npz \
  --output_dir outputs/ \
  --n_images 512 \
  --max_epochs 50 \
  --accelerator gpu \
  --no-deterministic \
  --num-workers 8 \
  --learning-rate 1e-3
"""
_INFER_GPU = r"""
python -m ptycho_torch.inference \
  --model_path training_outputs/ \
  --test_data datasets/test.npz \
  --output_dir inference_outputs/ \
  --n_images 128 \
  --accelerator gpu \
  --num-workers 4 \
  --inference-batch-size 32
"""


def _words(text):
    python, dash, module, *arguments = shlex.split(text.replace("\\\n", " "))
    assert (python, dash) == ("python", "-m")
    return module, arguments


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """The folder that the examples are run in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    for name in ("train", "test"):
        write_scan(tmp_path / "datasets" / f"{name}.npz", small_scan(), unit="counts")
    return tmp_path


class _Stop(Exception):
    """Raised in place of the work."""


@pytest.mark.parametrize(
    ("text", "epochs", "expected"),
    [
        (
            _TRAIN_CPU,
            10,
            {"accelerator": "cpu", "deterministic": True, "num_workers": 4, "learning_rate": 5e-4},
        ),
        (
            _TRAIN_GPU,
            50,
            {"accelerator": "gpu", "deterministic": False, "num_workers": 8, "learning_rate": 1e-3},
        ),
    ],
)
def test_the_training_examples_of_the_rationale(datasets, monkeypatch, text, epochs, expected):
    module, arguments = _words(text)
    assert module == "ptycho_torch.train"
    called = {}

    def train_(scan, config, execution, **more):
        called.update(scan=scan, config=config, execution=execution, **more)
        raise _Stop

    monkeypatch.setattr(pinn_torch.workflows, "train", train_)
    assert train.main(arguments) == 1
    config, execution = called["config"], called["execution"]
    assert (config.n_groups, config.nepochs, config.model.N) == (512, epochs, 64)
    assert (config.train_data_file, config.output_dir) == (Path("datasets/train.npz"), Path("outputs"))
    assert {name: getattr(execution, name) for name in expected} == expected
    assert len(called["scan"]) == 12 and called["validation"] is None and called["seed"] == 0
    assert Path("outputs").is_dir()


def test_the_inference_example_of_the_rationale(datasets, monkeypatch):
    module, arguments = _words(_INFER_GPU)
    assert module == "ptycho_torch.inference"
    from torch_scans import small_training

    small_training(datasets / "training_outputs", small_scan())
    called = {}

    def reassemble(scan, config, **more):
        called.update(scan=scan, config=config, **more)
        raise _Stop

    monkeypatch.setattr(pinn_torch.components, "reassemble_cdi_image", reassemble)
    assert inference.main(arguments) == 1
    config, execution = called["config"], called["execution_config"]
    assert (config.n_groups, config.model_path) == (128, Path("training_outputs"))
    assert (execution.accelerator, execution.num_workers, execution.inference_batch_size) == ("gpu", 4, 32)
    assert len(called["scan"]) == 12


_NAMES = {
    "nepochs": st.integers(1, 99),
    "batch_size": st.integers(1, 99),
    "n_groups": st.integers(1, 99),
    "gridsize": st.integers(1, 3),
    "probe_trainable": st.booleans(),
    "learning_rate": st.floats(1e-5, 1),
    "num_workers": st.integers(0, 4),
    "accelerator": st.sampled_from(["cpu", "gpu", "mps"]),
}


@settings(deadline=None, max_examples=60)
@given(written=st.fixed_dictionaries({}, optional=_NAMES), typed=st.fixed_dictionaries({}, optional=_NAMES))
def test_a_flag_beats_the_file_and_the_file_beats_the_defaults(tmp_path_factory, written, typed):
    path = tmp_path_factory.mktemp("yaml") / "run.yaml"
    execution = {item.name for item in fields(PyTorchExecutionConfig)}
    top = {n: v for n, v in written.items() if n not in execution and n != "gridsize"}
    sections = {"": top, "execution": {n: v for n, v in written.items() if n in execution}}
    sections["model"] = {n: v for n, v in written.items() if n == "gridsize"}
    lines = []
    for section, values in sections.items():
        lines += [f"{section}:"] * bool(section and values)
        lines += [f"{'  ' * bool(section)}{n}: {str(v).lower()}" for n, v in values.items()]
    path.write_text("\n".join(lines) + "\n")
    arguments = [
        part
        for name, value in typed.items()
        for part in (
            [f"--{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{name}", value]
        )
    ]
    found = _settings("training", "--config", path, *arguments)
    wanted = written | typed
    for name in _NAMES:
        if name in execution:
            assert (name in found.execution_given) == (name in wanted)
            expected = wanted.get(name, found.cli_defaults[name])
            assert getattr(found.execution_config, name) == expected
        else:
            assert (name in found.overrides) == (name in wanted)
            assert found.overrides.get(name) == wanted.get(name)
            assert found.cli_defaults[name] == train.DEFAULTS[name]


def test_the_written_configuration_starts_the_same_run_again(tmp_path, datasets):
    from pinn_torch.settings.config_factory import create_training_payload

    first = _settings(
        "training",
        *("--train_data_file", "datasets/train.npz", "--output_dir", "o", "--max_epochs", "3"),
        *("--architecture", "unrolled", "--logger", "csv", "--test_data_file", "datasets/test.npz"),
        "--no-deterministic",
    )
    arguments = {"overrides": first.overrides | {"test_data_file": first.paths["test_data_file"]}}
    payload = create_training_payload("datasets/train.npz", "o", **first.levels() | arguments)
    path = save_run(tmp_path / "config.yaml", payload.tf_training_config, payload.execution_config)
    again = _settings("training", "--config", path)
    assert again.path("train_data_file", "scan") == Path("datasets/train.npz")
    assert again.paths["test_data_file"] == Path("datasets/test.npz")
    second = create_training_payload(
        "datasets/train.npz",
        "o",
        **again.levels() | {"overrides": again.overrides | {"test_data_file": again.paths["test_data_file"]}},
    )
    assert second.tf_training_config == payload.tf_training_config
    assert second.execution_config == payload.execution_config


def test_the_record_tells_typed_flags_from_defaults(datasets):
    from pinn_torch.settings.config_factory import create_training_payload

    found = _settings("training", "--learning-rate", "1e-3", "--max_epochs", "50")
    payload = create_training_payload("datasets/train.npz", "o", **found.levels())
    record = payload.overrides_applied
    assert record["learning_rate"].level is Level.EXECUTION
    assert record["nepochs"].level is Level.OVERRIDE
    assert record["accelerator"].level is record["gridsize"].level is Level.CLI
    assert record["accelerator"].value == "auto" and record["enable_progress_bar"].value is True
    assert payload.file_facts == {"N": 64} and "N" not in record


@pytest.mark.parametrize(
    ("arguments", "accelerator", "words"),
    [
        (["--device", "cpu"], "cpu", "--device is deprecated. Use --accelerator instead."),
        (["--device", "cuda"], "gpu", "--device is deprecated. Use --accelerator instead."),
        (["--device", "cuda", "--accelerator", "cpu"], "cpu", "Ignoring --device value."),
        (["--device", "cpu", "--accelerator", "auto"], "auto", "Ignoring --device value."),
    ],
)
@pytest.mark.parametrize("mode", list(_COMMANDS))
def test_the_deprecated_device(mode, arguments, accelerator, words):
    args = _parsed(mode, *arguments)
    with pytest.warns(DeprecationWarning) as caught:
        assert build_execution_config_from_args(args, mode).accelerator == accelerator
    assert len(caught) == 1 and str(caught[0].message).endswith(words)
    assert "accelerator" in execution_given(args)


def test_the_deprecated_switch_of_mlflow():
    with pytest.warns(DeprecationWarning, match="Use --logger none .* and --quiet"):
        made = build_execution_config_from_args(_parsed("training", "--disable_mlflow"), "training")
    assert (made.logger_backend, made.enable_progress_bar) == ("none", False)
    with pytest.warns(DeprecationWarning):
        args = _parsed("training", "--disable_mlflow", "--logger", "csv")
        assert build_execution_config_from_args(args, "training").logger_backend == "csv"


def test_deprecated_flags_beat_the_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("execution:\n  accelerator: gpu\n  logger_backend: csv\n  enable_progress_bar: true\n")
    with pytest.warns(DeprecationWarning):
        made = _settings("training", "--config", path, "--device", "cpu", "--disable-mlflow")
    execution = made.execution_config
    assert (execution.accelerator, execution.logger_backend) == ("cpu", "none")
    assert execution.enable_progress_bar is False


def test_the_forms_of_resolving_an_accelerator():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_accelerator() == resolve_accelerator(argparse.Namespace()) == "auto"
        assert resolve_accelerator("gpu") == resolve_accelerator(accelerator="gpu") == "gpu"
        assert resolve_accelerator(argparse.Namespace(accelerator="mps", device=None)) == "mps"
    for call in (
        lambda: resolve_accelerator("auto", "cpu"),
        lambda: resolve_accelerator(accelerator="auto", device="cpu"),
        lambda: resolve_accelerator(argparse.Namespace(accelerator="auto", device="cpu")),
    ):
        with pytest.warns(
            DeprecationWarning, match=r"^--device is deprecated\. Use --accelerator instead\.$"
        ):
            assert call() == "cpu"
    with pytest.warns(DeprecationWarning, match=r"Ignoring --device value\.$"):
        assert resolve_accelerator("gpu", "cpu") == "gpu"


def test_arguments_of_another_parser_will_do():
    args = argparse.Namespace(
        accelerator="cpu",
        learning_rate=None,
        logger="csv",
        accumulate_grad_batches=3,
        quiet=True,
        batch_size=7,
    )
    made = build_execution_config_from_args(args, "training")
    assert made == PyTorchExecutionConfig(logger_backend="csv", accum_steps=3, enable_progress_bar=False)
    made = build_execution_config_from_args(argparse.Namespace(inference_batch_size=9), mode="inference")
    assert made == PyTorchExecutionConfig(
        accelerator="auto", inference_batch_size=9, enable_progress_bar=True
    )


def test_there_are_two_modes():
    with pytest.raises(ValueError, match=r"^Invalid mode: 'evaluation': give 'training' or 'inference'$"):
        build_execution_config_from_args(argparse.Namespace(), "evaluation")


@pytest.mark.parametrize(
    ("mode", "arguments", "message"),
    [
        ("training", ["--num-workers", "-1"], "num_workers must be >= 0"),
        ("training", ["--learning-rate", "0"], "learning_rate must be > 0"),
        ("training", ["--learning-rate", "-0.1"], "learning_rate must be > 0"),
        ("inference", ["--inference-batch-size", "0"], "inference_batch_size must be > 0"),
        ("training", ["--checkpoint-save-top-k", "-2"], "checkpoint_save_top_k must be >= -1"),
        ("training", ["--early-stop-patience", "0"], "early_stop_patience must be > 0"),
        ("training", ["--accumulate-grad-batches", "0"], "accum_steps must be > 0"),
    ],
)
def test_the_second_layer_checks_ranges(mode, arguments, message):
    with pytest.raises(ConfigError, match=message):
        build_execution_config_from_args(_parsed(mode, *arguments), mode)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--accelerator", "abacus"],
        ["--scheduler", "Sometimes"],
        ["--logger", "paper"],
        ["--num-workers", "few"],
        ["--device", "tpu"],
        ["--learning-rate"],
        ["--architecture", "vgg"],
        ["--n_images", "4", "--n_groups", "5"],
        ["--max_epochs", "4", "--epochs", "5"],
        ["--learning", "1"],
        ["stray"],
    ],
)
def test_the_first_layer_checks_types_and_choices(arguments, capsys):
    with pytest.raises(UsageError, match=r"\(see 'python -m ptycho_torch\.train --help'\)$"):
        _parsed("training", *arguments)
    assert train.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("python -m ptycho_torch.train: error: ")


def test_paths_are_checked(tmp_path):
    file = tmp_path / "a.npz"
    file.write_bytes(b"")
    validate_paths(file, None, tmp_path / "made" / "for" / "it")
    assert (tmp_path / "made" / "for" / "it").is_dir()
    for arguments, message in (
        ((tmp_path / "no.npz", None, tmp_path / "x"), r"^Training data file not found: .*no\.npz$"),
        ((file, tmp_path / "no.npz", tmp_path / "x"), r"^Test data file not found: .*no\.npz$"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            validate_paths(*arguments)
        assert not (tmp_path / "x").exists()
    with pytest.raises(ValueError, match="is a file: give another folder"):
        validate_paths(None, None, file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "no scan to learn was given: use --train_data_file PATH, or"),
        ("--train_data_file nowhere.npz", "Training data file not found: nowhere.npz"),
        ("--train_data_file datasets/train.npz --max-seconds 0", "--max-seconds is 0, but a time above 0"),
        ("--train_data_file datasets/train.npz --seed -1", "--seed is -1, but a whole number >= 0"),
        ("--train_data_file datasets/train.npz --gridsize 0", "gridsize must be >= 1, not 0"),
        ("--train_data_file datasets/train.npz --config no.yaml", "no configuration file at no.yaml"),
        ("--train_data_file datasets/train.npz --config bad.yaml", "bad.yaml: unknown key 'nepoch': did you"),
        ("--train_data_file datasets/train.npz --config exec.yaml", "execution must be a section"),
        ("--train_data_file datasets/train.npz --output_dir bad.yaml", "bad.yaml is a file: give another"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_made(datasets, capsys, arguments, words):
    Path("bad.yaml").write_text("nepoch: 3\n")
    Path("exec.yaml").write_text("execution: fast\n")
    before = sorted(Path().rglob("*"))
    assert main(["train", *arguments.split(), "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1 and err.startswith("pinn-torch: error: ")
    assert sorted(Path().rglob("*")) == before


def test_a_model_that_is_not_there(datasets, capsys):
    assert main(["infer", "--model_path", "nothing", "--test_data", "datasets/test.npz"]) == 2
    assert "Model archive not found: nothing: give wts.h5.zip, or its folder" in capsys.readouterr().err
    assert not Path("inference_outputs").exists()


def test_an_interrupt_and_a_failure_have_their_codes(datasets, monkeypatch, capsys):
    arguments = ["train", "--train-data-file", "datasets/train.npz", "--quiet"]
    for error, code, words in (
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue a training"),
        (ZeroDivisionError("odd"), 1, "ZeroDivisionError: odd (an internal error of pinn-torch"),
        (MemoryError(), 1, "not enough memory: choose a smaller batch, or fewer patterns"),
    ):

        def train_(*_, error=error, **__):
            raise error

        monkeypatch.setattr(pinn_torch.workflows, "train", train_)
        assert main(arguments) == code
        err = capsys.readouterr().err
        assert words in err and "Traceback" not in err
    assert main([*arguments, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "writes"), [("0", True), ("1", False)])
def test_of_processes_that_were_started_together_the_first_writes(
    datasets, monkeypatch, capsys, rank, writes
):
    """torchrun and srun start the same command several times; every process takes part in the run."""
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    row = {"step": 1, "epoch": 0, "seconds": 1.0, "train_loss": 2.0, "val_loss": None}
    result = pinn_torch.workflows.TrainingResult(Path("training_outputs/wts.h5.zip"), [row], 1.0, 5)
    monkeypatch.setattr(pinn_torch.workflows, "train", lambda *_, **__: result)
    assert main(["train", "--train_data_file", "datasets/train.npz", "--devices", "auto"]) == 0
    assert (capsys.readouterr().out != "") == writes
    assert Path("training_outputs/config.yaml").exists() == writes


def test_a_program_that_calls_the_command_keeps_its_logging(datasets):
    before = {name: logging.getLogger(name).level for name in ("pinn_torch", "pinn_data")}
    assert main(["train", "--train_data_file", "nowhere.npz", "--debug"]) == 2
    assert {name: logging.getLogger(name).level for name in before} == before


def test_deprecated_flags_are_told_on_the_error_stream(datasets, monkeypatch, capsys):
    def train_(*_, **__):
        raise _Stop

    monkeypatch.setattr(pinn_torch.workflows, "train", train_)
    main(["train", "--train_data_file", "datasets/train.npz", "--device", "cpu", "--disable_mlflow"])
    err = capsys.readouterr().err
    assert "warning: --device is deprecated. Use --accelerator instead." in err
    assert "warning: --disable_mlflow is deprecated." in err


def test_the_whole_command_has_both_commands_and_a_version(capsys):
    for arguments in (["--help"], ["--version"], ["train", "--help"], ["infer", "--help"]):
        with pytest.raises(SystemExit) as caught:
            build_parser().parse_args(arguments)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "pinn-torch train" in out and "--inference-batch-size" in out
    assert main([]) == 2


@pytest.mark.parametrize("module", ["ptycho_torch.train", "ptycho_torch.inference", "pinn_torch.cli"])
def test_help_loads_no_framework(module):
    code = f"""
import atexit, runpy, sys
atexit.register(lambda: print({{'torch', 'lightning', 'numpy', 'tensorflow'}} & set(sys.modules)))
sys.argv = ["command", "--help"]
runpy.run_module({module!r}, run_name="__main__")
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and done.stdout.strip().endswith("set()")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trian", "unknown command 'trian': did you mean 'train'? (see 'pinn-torch --help')"),
        (
            "train --train_file x --max_epoch 3",
            "unknown flags --train-file and --max-epoch: did you mean --train-data-file and --max-epochs? "
            "(see 'pinn-torch train --help')",
        ),
        (
            "infer --model_pth x",
            "unknown flag --model-pth: did you mean --model-path? (see 'pinn-torch infer --help')",
        ),
        (
            "train --train_data_file x --logger tensorbord",
            "argument --logger: invalid choice 'tensorbord': did you mean 'tensorboard'? "
            "(see 'pinn-torch train --help')",
        ),
    ],
)
def test_a_misspelled_name_brings_the_nearest_known_one(line, sentence, capsys):
    assert main(line.split()) == 2
    assert capsys.readouterr().err == f"pinn-torch: error: {sentence}\n"
