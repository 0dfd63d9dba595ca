"""Run as a program: goes every way into `ptycho_torch` in a process that has no usable PyTorch.

Arguments: how PyTorch is unusable (`UNUSABLE`), a scan, a model archive, and an empty folder. Prints one JSON
object: each way to what came of it, which is ``"works"``, or the error's type, its cause's type and its
sentence.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import pkgutil
import sys
import types
from importlib.abc import MetaPathFinder
from pathlib import Path

UNUSABLE = ("hidden", "old", "broken", "emptied")


class _Broken(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise OSError("libcudart.so.12: cannot open shared object file")
        return None


def make_unusable(how: str) -> None:
    if how == "hidden":
        sys.modules["torch"] = None
    elif how == "broken":
        sys.meta_path.insert(0, _Broken())
    else:
        sys.modules["torch"] = types.ModuleType("torch")
        if how == "old":
            sys.modules["torch"].__version__ = "2.1.2"


def calls(scan: str, archive: str, folder: str) -> dict:
    """A call of everything that needs PyTorch in the modules that can be imported without it."""
    from pinn_config.configs import InferenceConfig, ModelConfig, TrainingConfig
    from ptycho_torch import inference, train
    from ptycho_torch.workflows import components as c

    training = TrainingConfig(ModelConfig(N=16), train_data_file=Path(scan), n_groups=4)
    reconstruction = InferenceConfig(ModelConfig(N=16), Path(archive), Path(scan))
    return {
        "components.train": lambda: c.train(None, None),
        "components.reconstruct": lambda: c.reconstruct(None, None),
        "components.seen_devices": lambda: c.seen_devices(),
        "components.train_cdi_model": lambda: c.train_cdi_model(None, None, training),
        "components.train_cdi_model_torch": lambda: c.train_cdi_model_torch(None, None, training),
        "components.run_cdi_example": lambda: c.run_cdi_example(None, None, training),
        "components.run_cdi_example_torch": lambda: c.run_cdi_example_torch(None, None, training),
        "components.reassemble_cdi_image": lambda: c.reassemble_cdi_image(None, reconstruction),
        "components.load_inference_bundle": lambda: c.load_inference_bundle(archive),
        "components.load_inference_bundle_torch": lambda: c.load_inference_bundle_torch(archive),
        "components.save_inference_bundle": lambda: c.save_inference_bundle({}, folder),
        "train.main": lambda: _command(
            train.main, "--train_data_file", scan, "--n_images", "4", "--output_dir", folder
        ),
        "inference.main": lambda: _command(
            inference.main, "--model_path", archive, "--test_data", scan, "--output_dir", folder
        ),
    }


def _command(main, *arguments: str) -> None:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main([*arguments, "--quiet"])
    if code:  # the cause is shown with --debug only
        raise RuntimeError(f"{code}: {errors.getvalue().strip()}") from ImportError()


def outcome(way) -> str | list[str]:
    try:
        way()
    except Exception as error:
        return [type(error).__name__, type(error.__cause__).__name__, str(error)]
    return "works"


def main(how: str, scan: str, archive: str, folder: str) -> None:
    make_unusable(how)
    import ptycho_torch

    found = {}
    for module in pkgutil.walk_packages(ptycho_torch.__path__, "ptycho_torch."):
        for attempt in ("", " again"):  # what failed once must not be half there
            found[module.name + attempt] = outcome(lambda name=module.name: importlib.import_module(name))
    found |= {name: outcome(way) for name, way in calls(scan, archive, folder).items()}
    found["public"] = [
        f"{name.rpartition('.')[2]}.{public}"
        for name, module in sorted(sys.modules.items())
        if name.startswith("ptycho_torch.")
        for public in getattr(module, "__all__", [])
    ]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
