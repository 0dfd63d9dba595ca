"""What each way to install brings: a table of packages, download and disk.

``uv run python -m benchmarks.install_sizes [--torch WHEEL]`` in a clone. Each row is a new environment
below build/sizes/, with the versions of uv.lock and wheels of the six packages made from this clone. The
download is the sum of the wheels' sizes in uv.lock for this machine.

--torch : a build of PyTorch for CPUs, a wheel file, for the rows that name it; without it they are left out
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "sizes"
PACKAGES = ("pinn-dispatch", "pinn-dispatch[pytorch]", "pinn-torch", "pinn-dispatch[tensorflow]")
ON_CPU = ("pinn-dispatch[pytorch]", "pinn-torch")
CLONE = {
    "clone, `uv run pinn demo`": (),
    "clone, `uv run pytest`": ("--group", "tensorflow"),
    "clone, `uv sync --all-groups`": ("--all-groups",),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", type=Path, metavar="WHEEL")
    wheel = parser.parse_args().torch
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    _uv("build", "--all-packages", "--no-sources", "--wheel", "--out-dir", FOLDER / "wheels")
    print("| what is installed | packages | download | on disk |\n|---|---|---|---|")
    for package in PACKAGES:
        _print_row(f"`{package}`", _of_package(package, None), None)
    for package in ON_CPU if wheel else ():
        _print_row(f"`{package}`, PyTorch for CPUs", _of_package(package, wheel), wheel)
    for title, arguments in CLONE.items():
        _print_row(title, _of_clone(*arguments), None)


def _uv(*words: object, **variables: str) -> str:
    command = ["uv", *map(str, words), "--quiet"]
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"} | variables
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _new_environment() -> Path:
    path = FOLDER / f"environment-{len(list(FOLDER.glob('environment-*')))}"
    _uv("venv", path)
    return path


def _of_package(package: str, torch: Path | None) -> Path:
    environment, versions = _new_environment(), FOLDER / "versions.txt"
    pins = _uv(
        "export",
        "--locked",
        "--all-packages",
        "--all-extras",
        "--all-groups",
        "--no-emit-workspace",
        "--no-hashes",
    )
    lines = [
        line for line in pins.splitlines() if torch is None or not line.startswith(("torch==", "triton=="))
    ]
    lines += [
        f"{path.name.partition('-')[0]} @ {path.as_uri()}" for path in (FOLDER / "wheels").glob("*.whl")
    ]
    versions.write_text("\n".join(lines))
    extra = [torch] if torch else []
    _uv("pip", "install", "--python", environment, "--constraints", versions, package, *extra)
    return environment


def _of_clone(*arguments: str) -> Path:
    environment = _new_environment()
    _uv("sync", "--locked", *arguments, UV_PROJECT_ENVIRONMENT=str(environment))
    return environment


def _print_row(title: str, environment: Path, torch: Path | None) -> None:
    installed = json.loads(_uv("pip", "list", "--format", "json", "--python", environment))
    sizes = _wheel_sizes()
    download = sum(sizes.get((canonicalize_name(row["name"]), row["version"]), 0) for row in installed)
    download += torch.stat().st_size if torch else 0
    files = {path.stat().st_ino: path.stat().st_size for path in environment.rglob("*") if path.is_file()}
    print(f"| {title} | {len(installed)} | {_shown(download)} | {_shown(sum(files.values()))} |", flush=True)


def _wheel_sizes() -> dict[tuple[str, str], int]:
    """(name, version) to bytes of the wheel that suits this machine best."""
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}

    def rank(name: str) -> int:
        return min((ranks[tag] for tag in parse_wheel_filename(name)[3] if tag in ranks), default=len(ranks))

    def rows() -> Iterator[tuple[tuple[str, str], int]]:
        for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]:
            wheels = {wheel["url"].rpartition("/")[2]: wheel["size"] for wheel in package.get("wheels", [])}
            fitting = [name for name in wheels if rank(name) < len(ranks)]
            if fitting:
                yield (package["name"], package["version"]), wheels[min(fitting, key=rank)]

    return dict(rows())


def _shown(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
