"""Where results go: a folder that is known to be writable before the work begins, and files that appear
whole."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pinn_data.json_values import as_json

from pinn_dispatch.errors import OutputError

__all__ = ["output_folder", "write_json", "write_table"]


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """The folder `path`, made if need be, and proven to be writable.

    If the block raises, the folders that were made for it and are still empty go again.

    Raises OutputError.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial = path / f".pinn-{secrets.token_hex(6)}.tmp"
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        _remove_empty(made)
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"the output folder {path} cannot be written ({reason}): choose a folder that you may write to"
        ) from error
    try:
        yield path
    except BaseException:
        _remove_empty(made)
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(
            OSError
        ):  # it was not made after all, or it holds something by now: then it stays as it is
            folder.rmdir()


def write_json(path: Path, value: Mapping[str, Any]) -> Path:
    """`value` as an indented JSON file, whole or not at all; what is not a finite number becomes null."""
    return _write(path, json.dumps(as_json(value, lambda _: None), indent=2, allow_nan=False) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """`rows` as a CSV file with a header, whole or not at all; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return _write(path, text.getvalue())


def _write(path: Path, text: str) -> Path:
    from pinn_data.files.atomic_write import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
