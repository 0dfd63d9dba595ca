"""One training: data, steps, checkpoints, loggers, and the history of the loss."""
