"""Imports every module of one installed distribution, and asks its commands for help.

`python -I every_module.py pinn-torch`, in an environment that holds what the distribution declares. What it
does not declare cannot be imported there; what the extra `testing` brings may be missing in its module.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from importlib import import_module
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

# Neither backend brings the framework of the other, nor poses as the other.
ABSENT = {
    "pinn-torch": ("tensorflow", "keras", "pinn_tf", "ptycho", "pinn_dispatch"),
    "pinn-tf": ("torch", "lightning", "pinn_torch", "ptycho_torch", "pinn_dispatch"),
}
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "pinn_torch", "ptycho_torch", "pinn_tf", "ptycho")


def modules(package: str) -> list[str]:
    """Names of all modules in the wheel, from its record."""
    files = [file for file in distribution(package).files or [] if file.suffix == ".py"]
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files)


def extras(package: str) -> set[str]:
    """Distributions that only an extra brings."""
    marked = [line for line in distribution(package).requires or [] if "extra ==" in line]
    return {re.split(r"[^\w.-]", line)[0] for line in marked}


def main(package: str) -> None:
    site = Path(sysconfig.get_path("purelib")).resolve()
    present = [name for name in ABSENT.get(package, FRAMEWORKS) if find_spec(name) is not None]
    assert not present, f"{package} alone finds {present}, which it does not declare"
    names = modules(package)
    assert names, f"the wheel of {package} holds no module"
    programs = [name for name in names if name.endswith(".__main__")]
    for name in sorted(set(names) - set(programs)):
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "").replace("_", "-") in extras(package) and name.endswith(".testing"):
                continue
            raise
        assert site in Path(module.__file__ or "").resolve().parents, f"{name} comes from {module.__file__}"
    scripts = [e.name for e in distribution(package).entry_points if e.group == "console_scripts"]
    commands = [[str(Path(sys.executable).with_name(script))] for script in scripts]
    commands += [[sys.executable, "-I", "-m", name.removesuffix(".__main__")] for name in programs]
    for command in commands:
        subprocess.run([*command, "--help"], check=True, capture_output=True)
    print(f"{package}: {len(names)} modules and {len(commands)} commands, from the wheel alone")


if __name__ == "__main__":
    main(sys.argv[1])
