"""Light of a room and noise of a camera, applied to an image that was drawn in good light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ciao_stream.faces.dataset import Image
from ciao_stream.runtime.options import option, validate


@dataclass(frozen=True)
class Lighting:
    """The effect of a room and a camera on an image.

    Args:
        brightness: Factor, > 0.
        side: Falloff of the light, -1 to 1: at 1 the viewer's left edge is dark, at -1 the right one; 0 is even
            light.
        cast: Factor on red, green and blue, each >= 0: the colour of the lamp.
        noise: Standard deviation of the sensor's noise, in grey levels of 255; independent of the light.

    Raises:
        CiaoError: A value is out of range.
    """

    brightness: float = option(1.0, above=0)
    side: float = option(0.0, least=-1, most=1)
    cast: tuple[float, float, float] = option((1.0, 1.0, 1.0), least=0)
    noise: float = option(0.0, least=0)

    def __post_init__(self) -> None:
        validate(self)


def relight(image: Image, lighting: Lighting, seed: int = 0) -> Image:
    """Return the image in another light. The same arguments give the same image.

    Args:
        image: uint8 (height, width, 3), RGB.
        lighting: The light.
        seed: Seed of the noise, >= 0.

    Returns:
        uint8 (height, width, 3): ``image * brightness * ramp * cast + noise``, clipped. The ramp runs over the width
        from ``1 - side`` to 1 if ``side`` is positive, and from 1 to ``1 + side`` if it is negative.
    """
    height, width, _ = image.shape
    ramp = np.linspace(1 - max(lighting.side, 0.0), 1 + min(lighting.side, 0.0), width, dtype=np.float32)
    lit = image * (np.float32(lighting.brightness) * ramp)[None, :, None] * np.array(lighting.cast, dtype=np.float32)
    if lighting.noise:
        grain = np.random.default_rng(seed).standard_normal((height, width, 1), dtype=np.float32)
        lit += np.float32(lighting.noise) * grain
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)
