"""Colors of the figures and of the interactive viewer."""

import numpy as np
from numpy.typing import NDArray

from .svg import Colors, unit

LESION = "#ff2d55"  # crimson, bright enough to contrast with gray matter
OUTLINE = "#35d0ba"
FAINT = 0.05  # lower probabilities are not drawn
#: Start of the used part of the colormap; darker colors have too little contrast with the image.
DARKEST = 0.2


def channels(color: str) -> tuple[int, int, int]:
    """Return red, green and blue (0-255) of a color ``#rrggbb``.

    >>> channels(LESION)
    (255, 45, 85)
    """
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def hexadecimal(color: NDArray[np.floating]) -> str:
    """Format a color (red, green and blue, 0-255) as ``#rrggbb``.

    >>> hexadecimal(np.array([255, 45, 85]))
    '#ff2d55'
    """
    return "#" + "".join(f"{round(value):02x}" for value in color)


def plasma(low: float, high: float) -> Colors:
    """Create a colormap from ``low`` to ``high`` that is suitable for color blindness."""
    from matplotlib import colormaps

    def colors(values: NDArray[np.floating]) -> NDArray[np.floating]:
        scaled = DARKEST + (1 - DARKEST) * unit(values, low, high)
        return 255 * colormaps["plasma"](scaled)[..., :3]

    return colors


def berlin(limit: float) -> Colors:
    """Create a diverging colormap from ``-limit`` (blue) to ``limit`` (red) with a dark center."""
    from matplotlib import colormaps

    def colors(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return 255 * colormaps["berlin"](unit(values, -limit, limit))[..., :3]

    return colors
