"""``python -m ptycho_torch.train``: learns a scan; see `pinn_torch.cli.train`."""

from pinn_torch.cli.train import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    raise SystemExit(main())
