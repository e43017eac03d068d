"""Pictures: read in one form whatever they were, cut into patches, judged, and packed by JPEG and PNG to compare."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from ..paths import relative
from .quantise import whole

SSIM_WINDOW = 7  # pixels; the smallest picture that SSIM can judge


def as_image(array: np.ndarray) -> np.ndarray:
    """A picture as (H, W, 3) float32 in 0..1.

    Grey becomes three equal channels; what is transparent is laid on white, as a page would show it.

    Args:
        array: (H, W), or (H, W, C) with C channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. bool, uint8,
            uint16, or float in 0..1.

    Raises:
        ValueError: no pixels, another shape or type, values that are not finite or not in 0..1.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise ValueError(f"a picture is (H, W) or (H, W, C) with 1 to 4 channels, not {array.shape}")
    if not array.size:
        raise ValueError(f"a picture of shape {array.shape} has no pixels")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
        if array.min() < 0 or array.max() > 1:
            raise ValueError(f"a float picture lies in 0..1, this one in {array.min():g}..{array.max():g}; scale it")
        largest = 1.0
    elif array.dtype in (np.bool_, np.uint8, np.uint16):
        largest = 1.0 if array.dtype == np.bool_ else float(np.iinfo(array.dtype).max)
    else:
        raise ValueError(f"a picture of {array.dtype} is not known; give bool, uint8, uint16, or float in 0..1")
    image = array.astype(np.float32) / np.float32(largest)
    if image.shape[2] in (2, 4):
        alpha = image[:, :, -1:]
        image = image[:, :, :-1] * alpha + (1 - alpha)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def read_image(path: Path | str) -> np.ndarray:
    """A picture file as `as_image` gives it, turned upright where a camera noted how it was held.

    Raises:
        ValueError: not a picture, cut off, or of a kind that is not known; names the file.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode == "P":
                picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
            elif picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "I;16"):
                picture = picture.convert("RGB")
            return as_image(np.asarray(picture))
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's words for a broken file
        raise ValueError(f"{relative(path)} cannot be read as a picture: {error}") from error


def patches(image: np.ndarray, size: int) -> np.ndarray:
    """(rows * columns, size * size * C): the picture (H, W, C) cut into squares, row by row.

    Where a side is no multiple of `size`, its last pixels are repeated; `unpatch` takes them off again.

    Raises:
        ValueError: squares of no size, or a picture that is not (H, W, C).
    """
    size = whole("the side of a square, in pixels,", size)
    if image.ndim != 3:
        raise ValueError(f"a picture (H, W, C) is cut into squares, not {image.shape}")
    _check(image)
    H, W, C = image.shape
    padded = np.pad(image, ((0, -H % size), (0, -W % size), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // size, padded.shape[1] // size
    squares = padded.reshape(rows, size, columns, size, C).swapaxes(1, 2)  # (rows, columns, size, size, C)
    return squares.reshape(rows * columns, size * size * C)


def unpatch(patches: np.ndarray, shape: tuple[int, int, int], size: int) -> np.ndarray:
    """The picture of `shape` (H, W, C) that `patches` cut up; undoes it exactly.

    Raises:
        ValueError: as many squares, of that size, do not make such a picture.
    """
    _check(patches)
    H, W, C = (whole("a side of the picture", n) for n in shape)
    size = whole("the side of a square, in pixels,", size)
    rows, columns = -(-H // size), -(-W // size)
    if patches.size != rows * columns * size * size * C:
        raise ValueError(f"squares {patches.shape} of {size} pixels do not make a picture {shape}")
    squares = patches.reshape(rows, columns, size, size, C).swapaxes(1, 2)
    return squares.reshape(rows * size, columns * size, C)[:H, :W]


def psnr(image: np.ndarray, again: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, for values in 0..1: -10 log10 of the mean squared error; inf when equal."""
    if image.shape != again.shape:
        raise ValueError(f"pictures of shape {image.shape} and {again.shape} cannot be compared")
    _check(image, again)
    error = float(np.mean((image.astype(np.float64) - again) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(image: np.ndarray, again: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004), mean over 7 x 7 windows and channels; 1 when equal. Needs (H, W, C).

    Raises:
        ValueError: a side of less than 7 pixels, where there is no such window.
    """
    from skimage.metrics import structural_similarity

    _check(image, again)
    if image.shape != again.shape or image.ndim != 3:
        raise ValueError(f"two pictures (H, W, C) are compared, not {image.shape} and {again.shape}")
    if min(image.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs {SSIM_WINDOW} x {SSIM_WINDOW} pixels at least, this picture has {image.shape}")
    return float(structural_similarity(image, again, channel_axis=2, data_range=1.0, win_size=SSIM_WINDOW))


def jpeg(image: np.ndarray, quality: int) -> tuple[int, np.ndarray]:
    """(bits of the whole JPEG file, the picture that comes back), of (H, W, C) with 1 or 3 channels.

    Colour at half the resolution, as is usual, and Huffman tables made for this picture.
    """
    from PIL import Image

    quality = whole("quality", quality)
    if quality > 100:
        raise ValueError(f"quality is {quality}; JPEG's lies in 1..100")
    data = _packed(image, "JPEG", quality=quality, optimize=True)
    again = np.asarray(Image.open(io.BytesIO(data)), dtype=np.float32) / 255
    return 8 * len(data), again.reshape(image.shape)


def jpeg_at(image: np.ndarray, bits: float) -> tuple[int, np.ndarray]:
    """`jpeg` at the best quality whose file has at most `bits`; the smallest file where none is that small."""
    if not bits >= 0:  # nor is NaN
        raise ValueError(f"bits is {bits}; it must be a number of 0 or more")
    low, high = 1, 95  # file size grows with quality
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if jpeg(image, middle)[0] <= bits else (low, middle - 1)
    return jpeg(image, low)


def png_bits(image: np.ndarray) -> int:
    """Bits of the picture as PNG, without loss at 8 bits a channel."""
    return 8 * len(_packed(image, "PNG", optimize=True))


def _check(*images: np.ndarray) -> None:
    for image in images:
        if image.dtype.kind != "f":
            raise ValueError(f"a picture is float in 0..1 here, not {image.dtype}; as_image makes one of it")
        if not image.size:
            raise ValueError(f"a picture of shape {image.shape} has no pixels")
        if not np.isfinite(image).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(image))} values are NaN or infinite")


def _packed(image: np.ndarray, kind: str, **settings) -> bytes:
    from PIL import Image

    _check(image)
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"a picture (H, W, C) with 1 or 3 channels is packed, not {image.shape}")
    whole = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).save(buffer, kind, **settings)
    return buffer.getvalue()
