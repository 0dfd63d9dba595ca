"""The scripts of `pinn completion` at work in the shells that are there."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from pinn_dispatch.cli.completion import SHELLS


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Shell to script."""
    import contextlib
    import io

    from pinn_dispatch.cli import main

    found = {}
    for shell in SHELLS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(["completion", shell]) == 0
        found[shell] = tmp_path_factory.mktemp("scripts") / f"pinn.{shell}"
        found[shell].write_text(out.getvalue())
    return found


@pytest.fixture
def completed(scripts, tmp_path):
    """completed(line): what bash offers at its end, in a folder with scan.npz, run.yaml and image/."""
    (tmp_path / "scan.npz").touch()
    (tmp_path / "run.yaml").touch()
    (tmp_path / "image").mkdir()

    def complete(line: str) -> set[str]:
        program = f"""
source {scripts["bash"]}
read -ra COMP_WORDS <<< "$1"
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_LINE="$1" COMP_POINT=${{#1}}
handler=$(complete -p pinn | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$handler" pinn "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        done = subprocess.run(
            ["bash", "--norc", "-c", program, "bash", line], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return {word.rstrip() for word in done.stdout.splitlines() if word.strip()}

    return complete


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")


@needs_bash
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pinn ", {"demo", "train", "infer", "evaluate", "simulate", "info", "config", "completion"}),
        ("pinn tr", {"train"}),
        ("pinn train --val", {"--validation", "--validation-groups"}),
        ("pinn infer --fra", {"--frames"}),
        ("pinn infer --frames ", {"all", "even", "odd"}),
        ("pinn train --backend t", {"tensorflow"}),
        ("pinn train --data ", {"scan.npz", "run.yaml", "image"}),
        ("pinn train --data s", {"scan.npz"}),
        ("pinn train --data scan.npz --output ", {"image"}),
        ("pinn train --config r", {"run.yaml"}),
        ("pinn info s", {"scan.npz"}),
        ("pinn config ", {"template", "validate"}),
        ("pinn config template --kind ", {"training", "inference", "execution"}),
        ("pinn config validate r", {"run.yaml"}),
        ("pinn completion z", {"zsh"}),
    ],
)
def test_bash_completes(line, offered, completed):
    found = {word.rstrip("/") for word in completed(line)}
    if line == "pinn ":
        assert found >= offered
    else:
        assert found == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_script_knows_every_command_and_flag(shell, scripts):
    text = scripts[shell].read_text()
    for word in ("train", "template", "validate", "max-seconds", "even", "tensorflow"):
        assert word in text


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(shell, scripts):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n", scripts[shell]], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
