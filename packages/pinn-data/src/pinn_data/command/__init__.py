"""What every command of this project shares: flags, exit codes, signals, processes."""
