"""One colour per cause, for the report, the figures and exports. A label always goes with a colour."""

from typing import Final

from whywait.analysis.causes import INFO

# light, dark; labels and the causes' textures distinguish them without colour
COLOURS: Final[dict[str, tuple[str, str]]] = {
    **{cause: info.colours for cause, info in INFO.items()},
    "running": ("#3f7d58", "#5fae80"),
    "alive": ("#dfe3e8", "#343a42"),
    "": ("#c9d2dc", "#4a535e"),
}
_INKS: Final = ("#000000", "#ffffff")  # one of them has a contrast of 4.5 on any background


def contrast(first: str, second: str) -> float:
    """Return the contrast of two "#rrggbb" colours as WCAG defines it, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def ink(background: str) -> str:
    """Return the letter colour with the best contrast on a background."""
    return max(_INKS, key=lambda one: contrast(one, background))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
