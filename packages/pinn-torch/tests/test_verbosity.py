"""`debug` tells what a reconstruction does, and leaves the program's logging as it was."""

from __future__ import annotations

import logging

import pytest
from pinn_config.configs import InferenceConfig
from pinn_data.progress.verbosity import detailed_logs
from pinn_torch.archive.model_archive import load_model
from torch_scans import network_image, small_scan


def test_debug_tells_the_details_of_a_reconstruction(trained, caplog):
    archive = trained("cnn", 1)
    # A command that ran in this process before may have chosen another level.
    caplog.set_level(logging.WARNING, logger="pinn_torch")
    caplog.handler.setLevel(logging.NOTSET)
    model = load_model(archive).config.model
    network_image(archive, small_scan(), InferenceConfig(model))
    assert caplog.records == []
    network_image(archive, small_scan(), InferenceConfig(model, debug=True))
    assert "12 groups of 1 of 12 frames of 64 x 64 on cpu" in caplog.text
    assert logging.getLogger("pinn_torch").level == logging.WARNING


def test_a_program_without_handlers_sees_them_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with detailed_logs(True, "pinn_torch"):
        logging.getLogger("pinn_torch.x").debug("a detail")
    logging.getLogger("pinn_torch.x").debug("no more")
    assert capsys.readouterr().err == "a detail\n"


def test_levels_come_back_after_an_error():
    logging.getLogger("pinn_data").setLevel(logging.ERROR)
    try:
        with pytest.raises(KeyError), detailed_logs(True, "pinn_torch"):
            assert logging.getLogger("pinn_data").level == logging.DEBUG
            raise KeyError
        assert logging.getLogger("pinn_data").level == logging.ERROR
    finally:
        logging.getLogger("pinn_data").setLevel(logging.NOTSET)
