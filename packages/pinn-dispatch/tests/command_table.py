"""Every command of `pinn`, with arguments that work and arguments that do not: one row a command.

A new command is held to the exit codes by a row here. In the arguments SCAN, MODEL, IMAGE, SETTINGS, TEXT (a
file that is nothing of ours) and OUT (a folder that does not exist yet) stand for paths.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Row:
    """One command.

    works : arguments that end with 0
    usage : arguments that do not say what to do, each in another way: 2
    bad : arguments that name input which cannot be used: 2
    needs_backend : without one it ends with 1
    writes : the files of OUT, in the order in which they appear
    tells : files of OUT that say how far it is, and are there before those
    """

    command: str
    works: str
    usage: tuple[str, ...]
    bad: tuple[str, ...] = ()
    needs_backend: bool = False
    writes: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()


_TRAINING = ("wts.h5.zip", "losses.csv", "config.yaml", "training.png", "provenance.json")
_IMAGE = ("reconstruction.npz", "reconstruction.h5", "reconstruction.png", "metrics.json")

ROWS = (
    Row(
        "demo",
        works="--side 8 --output OUT",
        usage=("--side few", "--side 2 --output OUT", "--max-seconds 0 --output OUT"),
        bad=("--output TEXT",),
        needs_backend=True,
        writes=(
            *("scan_learned.npz", "scan_unseen.npz", "wts.h5.zip", "reconstruction.npz", "reconstruction.h5"),
            "reconstruction.png",  # of the solver
            *("losses.csv", "config.yaml", "training.png", "provenance.json", "demo.png", "metrics.json"),
        ),
    ),
    Row(
        "simulate",
        works="--output OUT/scan.npz --size 80 -N 32 --background 0.5",
        usage=(
            "--size 80",
            "--output OUT/scan.npz --unit bananas",
            "--output OUT/scan.npz --seed -1",
            "--output OUT/scan.npz --background -1",
        ),
        bad=("--output TEXT/scan.npz", "--output OUT/scan.npz --amplitude no_such_picture"),
        writes=("scan.npz",),
    ),
    Row(
        "train",
        works="--data SCAN --output OUT",
        usage=("--data SCAN", "--data SCAN --output OUT --nepochs 0", "--data SCAN --output OUT --region y"),
        bad=("--data TEXT --output OUT", "--data nowhere.npz --output OUT", "--data SCAN --output TEXT"),
        needs_backend=True,
        writes=_TRAINING,
    ),
    Row(
        "infer",
        works="--model MODEL --data SCAN --output OUT",
        usage=("--model MODEL --data SCAN", "--model MODEL --data SCAN --output OUT --frames some"),
        bad=("--model TEXT --data SCAN --output OUT", "--model MODEL --data TEXT --output OUT"),
        needs_backend=True,
        writes=_IMAGE,
        tells=("reconstruct.log",),
    ),
    Row(
        "reconstruct",
        works="--data SCAN --output OUT --refine none",
        usage=(
            "--data SCAN",
            "--data SCAN --output OUT --refine some",
            "--data SCAN --output OUT --modes 0",
            "--data SCAN --output OUT --seconds 0",
            "--data SCAN --output OUT --engine abacus",
            "--data SCAN --output OUT --invert-mask",
        ),
        bad=(
            "--data TEXT --output OUT",
            "--data SCAN --output TEXT",
            "--data SCAN --output OUT --model TEXT",
            "--data SCAN --output OUT --mask TEXT",
        ),
        writes=_IMAGE,
        tells=("reconstruct.log", "preview.png"),
    ),
    Row(
        "evaluate",
        works="IMAGE --reference SCAN --output OUT",
        usage=("IMAGE", "IMAGE --reference SCAN --roi 1,2"),
        bad=("TEXT --reference SCAN --output OUT", "IMAGE --reference nowhere.npz"),
        writes=("metrics.json", "frc.csv", "evaluation.png"),
    ),
    Row(
        "compare",
        works="IMAGE SCAN --reference SCAN --output OUT",
        usage=("", "IMAGE", "IMAGE SCAN --roi 1,2", "same=IMAGE same=SCAN"),
        bad=("IMAGE TEXT", "IMAGE nowhere.npz", "IMAGE SCAN --output TEXT"),
        writes=("comparison.png", "comparison.csv", "comparison.json", "frc.csv"),
    ),
    Row(
        "convert",
        works="SCAN --output OUT/scan.npz",
        usage=("SCAN", "--output OUT/scan.npz", "SCAN --output OUT/scan.npz --from bananas"),
        bad=(
            "TEXT --output OUT/scan.npz",
            "nowhere.npz --output OUT/scan.npz",
            "SCAN --output TEXT/scan.npz",
        ),
        writes=("scan.npz",),
    ),
    Row("info", works="SCAN MODEL IMAGE", usage=("",), bad=("TEXT", "nowhere.npz", "SCAN TEXT")),
    Row(
        "config template",
        works="--kind training --output OUT/settings.yaml",
        usage=("--kind everything", "--kind execution --backend pytorch", "--backend jax"),
        bad=("--output TEXT", "--output TEXT/settings.yaml"),
        writes=("settings.yaml",),
    ),
    Row(
        "config validate",
        works="SETTINGS",
        usage=("", "SETTINGS --kind everything"),
        bad=("TEXT", "nowhere.yaml", "SETTINGS SETTINGS --kind inference"),
    ),
    Row("completion", works="bash", usage=("", "tcl")),
    Row("doctor", works="", usage=("--time-limit 0", "--time-limit soon"), needs_backend=True),
)
