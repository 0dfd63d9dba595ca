"""The quantities that the physics solver can refine besides the object, as settings and flags name them."""

from __future__ import annotations

from pinn_config.errors import ConfigError

__all__ = ["AUTOMATIC", "PARTS", "parse_parts"]

PARTS = ("probe", "positions", "background", "bad-pixels", "affine", "intensity")
"""What can be refined besides the object."""

AUTOMATIC = frozenset(PARTS) - {"affine"}
"""What may be refined unless a caller says otherwise: an affine map is searched for only where it is named,
because the search takes longer than all else together."""


def parse_parts(text: str) -> frozenset[str]:
    """The quantities that a text names: 'auto' (:data:`AUTOMATIC`), 'none', or some of :data:`PARTS`
    separated by commas.

    Raises ConfigError for another word.
    """
    words = [word.strip().lower().replace("_", "-") for word in text.split(",") if word.strip()]
    if words == ["auto"]:
        return AUTOMATIC
    if words == ["none"]:
        return frozenset()
    unknown = [word for word in words if word not in PARTS]
    if unknown or not words:
        raise ConfigError(
            f"refine must be auto, none, or a comma-separated list of {', '.join(PARTS)}, not "
            f"{unknown[0] if unknown else text!r}"
        )
    return frozenset(words)
