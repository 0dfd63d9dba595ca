"""What a training needs besides a framework: the loss, its history, resume points, loggers."""
