"""Looking at the help must be quick: nothing heavy is imported for it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "lightning",
    "tensorflow",
    "keras",
    "jax",
    "matplotlib",
    "scipy",
    "skimage",
    "h5py",
    "numpy",
    "rich",
    "dill",
    "shtab",
    "packaging",
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["demo", "--help"],
        ["train", "--help"],
        ["reconstruct", "--help"],
        ["compare", "--help"],
        ["convert", "--help"],
        ["info", "--help"],
        ["--version"],
        ["train"],
        ["config", "template"],
    ],
)
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from pinn_dispatch.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines()[-1] == "[]"


def test_the_package_and_its_registry_import_nothing_heavy():
    code = (
        "import sys, pinn_dispatch, pinn_dispatch.registry, pinn_dispatch.dispatch\n"
        "import pinn_dispatch.compare.selection\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_what_a_solution_waits_for_is_no_framework_and_draws_nothing():
    code = (
        "import sys, pinn_dispatch.cli.shared.run_log, pinn_dispatch.solving, pinn_data.run.pictures\n"
        "import pinn_data.files.npz, pinn_data.progress.lines, pinn_data.run.run_record, pinn_data.solver\n"
        "print([name for name in ('torch', 'lightning', 'tensorflow', 'keras', 'jax', 'matplotlib', "
        "'scipy.signal', 'h5py', 'skimage', 'rich') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_help_lists_every_command(pinn, capfd):
    with pytest.raises(SystemExit) as caught:
        pinn("--help")
    assert caught.value.code == 0
    shown = capfd.readouterr().out
    assert all(
        re.search(rf"^ {{4}}{name}\s", shown, re.M)
        for name in (
            *("demo", "reconstruct", "train", "infer", "evaluate", "compare", "simulate", "convert", "info"),
            *("config", "doctor", "completion"),
        )
    )


def test_a_program_may_hold_a_reconstructor_without_any_framework(tmp_path):
    code = (
        "import pickle, sys; from pinn_dispatch.reconstructor import Reconstructor\n"
        "client = Reconstructor(training={'nepochs': 3})\n"
        "pickle.loads(pickle.dumps(client)).configure(model={'gridsize': 2})\n"
        "str(client.open_file_filter), client.is_model_open, client.name\n"
        "print([name for name in ('torch', 'lightning', 'tensorflow', 'keras', 'jax', 'h5py', 'matplotlib', "
        "'ptycho', 'ptycho_torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
