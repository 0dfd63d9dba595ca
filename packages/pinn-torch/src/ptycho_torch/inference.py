"""``python -m ptycho_torch.inference``: reconstructs a scan; see `pinn_torch.cli.inference`."""

from pinn_torch.cli.inference import build_parser, main

__all__ = ["build_parser", "main"]

if __name__ == "__main__":
    raise SystemExit(main())
