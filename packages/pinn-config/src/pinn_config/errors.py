"""The exceptions of pinn-config. Each class derives from the builtin that a caller already catches, and can
be pickled."""

__all__ = ["ConfigError", "ConfigFileError", "ConfigFileNotFoundError", "ParameterNotFoundError"]


class ConfigError(ValueError):
    """A configuration cannot be run.

    problems : one sentence for each error, all of them at once
    """

    def __init__(self, *problems: str):
        super().__init__(*problems)

    @property
    def problems(self) -> tuple[str, ...]:
        return self.args

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return f"{len(self.problems)} settings are wrong: " + "; ".join(self.problems)


class ConfigFileError(ConfigError):
    """A configuration file is not valid; every problem names the file."""


class ConfigFileNotFoundError(FileNotFoundError):
    """There is no configuration file at the given path."""


class ParameterNotFoundError(KeyError):
    """The legacy dictionary has no such key, and there is no default for it."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put quotes around the sentence
