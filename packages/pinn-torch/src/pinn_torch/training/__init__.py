"""One training: data, checkpoints, loggers, and the history of the loss."""
