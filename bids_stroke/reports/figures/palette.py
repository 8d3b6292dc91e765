"""Colors of the figures and of the interactive viewer."""

import numpy as np
from numpy.typing import NDArray

from .svg import Colors, unit

LESION = "#ff2d55"  # a crimson light enough to stand out of gray matter
OUTLINE = "#35d0ba"
FAINT = 0.05  # probabilities below are not drawn
#: The part of the colormap below is left out: it would not stand out of the image.
DARKEST = 0.2


def plasma(low: float, high: float) -> Colors:
    """Colors of values from ``low`` to ``high``, readable with color blindness."""
    from matplotlib import colormaps

    def colors(values: NDArray[np.floating]) -> NDArray[np.floating]:
        scaled = DARKEST + (1 - DARKEST) * unit(values, low, high)
        return 255 * colormaps["plasma"](scaled)[..., :3]

    return colors
