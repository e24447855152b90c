"""The inspection camera: pose, optics, sensor, gamma. Turns a panel's light into an 8-bit picture.

A three-chip camera (no colour mosaic) looks straight at the panel. Its pixels are not a whole
fraction of the display's, so the stripes beat with the sensor: the moiré is not added, it happens.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .display import COLUMNS, ROWS, Display, Floats

FULL_WELL = 20_000  # electrons
READ_NOISE = 6.0  # electrons
ADC = 4095
# How much each sensor (row) sees of each primary (column): dichroic prism and colour filters.
CROSSTALK = np.array([[0.93, 0.06, 0.01], [0.05, 0.89, 0.06], [0.01, 0.07, 0.92]], np.float32)
ENCODE = np.rint(255 * (np.arange(ADC + 1) / ADC) ** (1 / 2.2)).astype(np.uint8)

MAX_ROTATION = math.radians(0.5)
MAX_SCALE = 0.004
MAX_SHIFT = 7.0  # camera pixels
MAX_CORNER = 1.5  # camera pixels that a corner moves by tilt
BLUR = (0.66, 0.76)  # standard deviation of optics and pixel aperture, camera pixels
MAX_EXPOSURE = 0.04
MAX_CAST = 0.015


@dataclass(frozen=True)
class Shot:
    """What differs from one picture to the next, within the limits above."""

    rotation: float  # radians
    scale: float
    shift: tuple[float, float]  # x, y, camera pixels
    corners: Floats  # (4, 2), camera pixels
    blur: float  # camera pixels
    exposure: float  # factor
    cast: Floats  # factor of each channel
    vignetting: float  # light lost at a corner, as a part of the centre's


def draw_shot(rng: np.random.Generator) -> Shot:
    """One placement of a panel under the camera."""
    return Shot(
        rotation=rng.uniform(-MAX_ROTATION, MAX_ROTATION),
        scale=1 + rng.uniform(-MAX_SCALE, MAX_SCALE),
        shift=(rng.uniform(-MAX_SHIFT, MAX_SHIFT), rng.uniform(-MAX_SHIFT, MAX_SHIFT)),
        corners=rng.uniform(-MAX_CORNER, MAX_CORNER, (4, 2)).astype(np.float32),
        blur=rng.uniform(*BLUR),
        exposure=1 + rng.uniform(-MAX_EXPOSURE, MAX_EXPOSURE),
        cast=(1 + rng.uniform(-MAX_CAST, MAX_CAST, 3)).astype(np.float32),
        vignetting=rng.uniform(0.07, 0.10),
    )


@dataclass(frozen=True)
class View:
    """A camera of `size`² pixels in front of a panel of `side`² display pixels."""

    display: Display
    shot: Shot
    size: int
    side: int
    brightest: float  # linear light of the pattern's brightest area, which sets the exposure

    def project(self, raster: Floats) -> Floats:
        """What falls on the sensor: a panel's raster through the optics, at the shot's pose.

        raster: (side · ROWS, side · COLUMNS[, C]) → (size, size[, C]).
        """
        sigma = self.shot.blur / self.display.camera_pixels
        blurred = cv2.GaussianBlur(
            raster, (11, 7), sigmaX=sigma * COLUMNS, sigmaY=sigma * ROWS,
            borderType=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        sensor = cv2.warpPerspective(
            blurred, self.sensor_to_raster(), (self.size, self.size), flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(sensor, np.float32)

    def sensor_to_raster(self) -> NDArray[np.float64]:
        """The homography from sensor pixel indices to raster sample indices, (3, 3)."""
        size, shot = self.size, self.shot
        sensor = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
        cosine, sine = math.cos(shot.rotation), math.sin(shot.rotation)
        turn = np.array([[cosine, -sine], [sine, cosine]]) * shot.scale
        corners = (sensor - size / 2 + shot.corners) @ turn.T + shot.shift
        panel = corners / self.display.camera_pixels + self.side / 2
        raster = panel * (COLUMNS, ROWS) - 0.5
        matrix = cv2.getPerspectiveTransform(sensor - 0.5, raster.astype(np.float32))
        return np.asarray(matrix, np.float64)

    def picture(self, raster: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The picture of a panel, (size, size, 3), RGB, gamma 2.2."""
        gain = self.shot.exposure * self.display.exposure / self.brightest * self.shot.cast
        signal = cv2.transform(self.project(raster), CROSSTALK * gain[:, None])
        np.multiply(signal, self._vignetting()[:, :, None], out=signal)
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        noise *= np.sqrt(signal / np.float32(FULL_WELL) + np.float32((READ_NOISE / FULL_WELL) ** 2))
        noise += signal
        noise *= np.float32(ADC)
        return np.asarray(ENCODE[np.clip(noise, 0, ADC, out=noise).astype(np.uint16)], np.uint8)

    def _vignetting(self) -> Floats:
        """What the lens passes of the light at each sensor pixel, (size, size)."""
        across = np.linspace(-1, 1, self.size, dtype=np.float32) ** 2 / 2
        lost = self.shot.vignetting * (across[:, None] + across[None, :])
        return np.asarray(1 - lost, np.float32)
