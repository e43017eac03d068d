"""Sound: read as one row of samples whatever it was, cut into frames, transformed, judged, packed by others' codecs.

Samples are (n,) float32 in -1..1, rates are in samples per second.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..paths import relative
from .quantise import whole

MU = 255  # of the mu-law (ITU-T G.711)
QUIET = 1e-3  # 60 dB below the loudest frame: quieter frames do not count in the segmental SNR
FLOOR_DB = -80.0  # below the loudest point of a spectrogram nothing is told apart
RATES = (1_000, 768_000)  # samples per second that a file can have been recorded with
BLOCK = 4096  # samples that a codec is given at once; libsndfile overflows on long ones


def as_audio(samples: np.ndarray) -> np.ndarray:
    """Sound as (n,) float32 in -1..1; of several channels the mean.

    Args:
        samples: (n,) or (n, channels); int16, int32, or float in -1..1.

    Raises:
        ValueError: no samples, another shape or type, values that are not finite or beyond -1..1.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= 8):
        raise ValueError(f"sound is (n,) or (n, channels) with 1 to 8 channels, not {samples.shape}")
    if not len(samples):
        raise ValueError("there is not a single sample")
    if samples.dtype in (np.int16, np.int32):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    elif samples.dtype.kind != "f":
        raise ValueError(f"sound of {samples.dtype} is not known; give int16, int32, or float in -1..1")
    if not np.isfinite(samples).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite")
    if np.abs(samples).max() > 1:
        raise ValueError(f"float samples lie in -1..1, these reach {np.abs(samples).max():g}; divide by their maximum")
    return (samples if samples.ndim == 1 else samples.mean(axis=1)).astype(np.float32)


def read_audio(path: Path | str) -> tuple[np.ndarray, int]:
    """(samples, rate) of a WAV, FLAC, Ogg or MP3 file, as `as_audio` gives them.

    Raises:
        ValueError: not a sound file, one without samples, or a rate that cannot be meant; names the file.
    """
    import soundfile

    path = Path(path)
    try:
        with open(path, "rb") as file:
            samples, rate = soundfile.read(file)
        if not RATES[0] <= rate <= RATES[1]:
            raise ValueError(f"its header says {rate:,} samples per second, which no recorder makes")
        return as_audio(samples), rate
    except (soundfile.LibsndfileError, ValueError) as error:
        reason = getattr(error, "error_string", error)  # without the name of the open file
        raise ValueError(f"{relative(path)} cannot be read as sound: {reason}") from error


def _row(samples: np.ndarray, size: int = 1) -> np.ndarray:
    """Raises ValueError: not one channel of finite numbers, or no whole size to cut them into."""
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise ValueError(f"one channel of samples is needed, (n,) numbers; these are {samples.dtype} {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(samples))} values are NaN or infinite")
    whole("a frame, in samples (a higher rate makes it longer),", size)
    return samples


def mulaw_encode(samples: np.ndarray) -> np.ndarray:
    """(n,) ids 0..255: amplitudes on a logarithmic scale, so that soft sounds get finer steps (G.711, WaveNet).

    Raises:
        ValueError: values that are not finite, or beyond -1..1.
    """
    samples = np.asarray(samples)
    if samples.dtype.kind not in "iuf" or not (np.abs(samples.astype(np.float64)) <= 1).all():
        raise ValueError("mu-law takes finite samples in -1..1; as_audio says which are not")
    samples = samples.astype(np.float64)
    bent = np.sign(samples) * np.log1p(MU * np.abs(samples)) / math.log1p(MU)  # -1..1
    return ((bent + 1) / 2 * MU).round().astype(np.int64)


def mulaw_decode(ids: np.ndarray) -> np.ndarray:
    """The samples, float32 in -1..1, that (n,) ids stand for.

    Raises:
        ValueError: what is no id of 0..255.
    """
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() <= MU):
        found = f" in {ids.min():g}..{ids.max():g}" if ids.size and ids.dtype.kind in "iuf" else ""
        raise ValueError(f"mu-law ids are whole numbers in 0..{MU}, not {ids.dtype}{found}")
    ids = ids.astype(np.int64)
    bent = 2 * ids / MU - 1
    return (np.sign(bent) * np.expm1(np.abs(bent) * math.log1p(MU)) / MU).astype(np.float32)


def frames(samples: np.ndarray, size: int) -> np.ndarray:
    """(frames, size): one after the other, the last one filled up with zeros. Raises ValueError: see :func:`_row`."""
    samples, size = _row(samples, size), int(size)
    return np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)


def mdct(samples: np.ndarray, size: int) -> np.ndarray:
    """(frames, size) coefficients of the modified discrete cosine transform with a sine window.

    Each frame looks at 2 * size samples, half of which it shares with either neighbour; there is one frame more than
    the samples fill, so that every sample lies in two (Princen, Johnson and Bradley 1987). `imdct` undoes it.
    """
    from scipy.fft import dct

    size = whole("size", size)
    if size % 2:
        raise ValueError(f"size is {size}; the transform folds halves, so it must be even")
    hops = frames(np.pad(_row(samples).astype(np.float64), size), size)  # a frame of silence on either side
    blocks = np.hstack([hops[:-1], hops[1:]]) * _window(size)
    a, b, c, d = np.hsplit(blocks, 4)
    return dct(np.hstack([-c[:, ::-1] - d, a - b[:, ::-1]]), type=4, norm="ortho")


def imdct(coefficients: np.ndarray, length: int) -> np.ndarray:
    """The `length` samples of (frames, size) coefficients: what each frame folded cancels against its neighbours.

    Raises:
        ValueError: coefficients that `mdct` cannot have made, or more samples than they hold.
    """
    from scipy.fft import dct

    _row(coefficients.reshape(-1))
    if coefficients.ndim != 2 or len(coefficients) < 2 or not coefficients.size or coefficients.shape[1] % 2:
        raise ValueError(f"coefficients are (frames, an even size), two frames at least, not {coefficients.shape}")
    size = coefficients.shape[1]
    if whole("length", length, 0) > (held := size * (len(coefficients) - 1)):
        raise ValueError(f"length is {length}, but {coefficients.shape} coefficients hold {held} samples")
    u, v = np.hsplit(dct(coefficients, type=4, norm="ortho"), 2)
    blocks = np.hstack([v, -v[:, ::-1], -u[:, ::-1], -u]) * _window(size)
    return (blocks[:-1, size:] + blocks[1:, :size]).reshape(-1)[:length]


def _window(size: int) -> np.ndarray:
    return np.sin(np.pi * (np.arange(2 * size) + 0.5) / (2 * size))  # its squares, half a window apart, add up to 1


def snr(samples: np.ndarray, again: np.ndarray) -> float:
    """Signal-to-noise ratio in dB: energy of the samples over energy of the difference; inf when equal.

    Raises:
        ValueError: different lengths, or silence, which has no energy to compare with.
    """
    _check_pair(samples, again)
    noise = np.sum((samples.astype(np.float64) - again) ** 2)
    return math.inf if noise == 0 else 10 * math.log10(np.sum(samples.astype(np.float64) ** 2) / noise)


def segmental_snr(samples: np.ndarray, again: np.ndarray, rate: int) -> float:
    """Mean over frames of 20 ms of each frame's SNR in dB: soft passages count as much as loud ones.

    Frames more than 60 dB below the loudest are silence and do not count.
    """
    _check_pair(samples, again)
    signal = frames(samples.astype(np.float64), rate // 50)
    noise = signal - frames(np.asarray(again, dtype=np.float64), rate // 50)
    energy, wrong = (signal**2).sum(axis=1), (noise**2).sum(axis=1)
    heard = energy > energy.max() * QUIET**2
    with np.errstate(divide="ignore"):
        return float((10 * np.log10(energy[heard] / wrong[heard])).mean())


def _check_pair(samples: np.ndarray, again: np.ndarray) -> None:
    if samples.shape != again.shape:
        raise ValueError(f"sounds of shape {samples.shape} and {again.shape} cannot be compared")
    for sound in (samples, again):
        _row(sound.reshape(-1))
    if not np.any(samples):
        raise ValueError("the sound is silent: a ratio to nothing is not defined")


def spectrogram(samples: np.ndarray, rate: int) -> np.ndarray:
    """(frequencies, times) in dB: windows of 32 ms every 8 ms, of which 0 is a sine wave of full scale."""
    size, hop = rate * 32 // 1000, rate * 8 // 1000
    padded = np.pad(_row(samples, hop), size // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
    power = np.abs(np.fft.rfft(windows, axis=1)).T * 4 / size
    return 20 * np.log10(np.maximum(power, 1e-7))


def log_spectral_distance(samples: np.ndarray, again: np.ndarray, rate: int) -> float:
    """How far two spectrograms are apart, in dB: root mean square over each time, then the mean over times.

    It does not see phase. What is more than 80 dB below the loudest point counts as equally silent.
    """
    _check_pair(samples, again)
    first, second = spectrogram(samples, rate), spectrogram(again, rate)
    floor = first.max() + FLOOR_DB
    apart = np.maximum(first, floor) - np.maximum(second, floor)
    return float(np.sqrt((apart**2).mean(axis=0)).mean())


@dataclass(frozen=True)
class Codec:
    """A codec of others, through soundfile: "FLAC" (without loss), "VORBIS" or "OPUS".

    `level` is soundfile's compression_level: 0 the largest and best file, 1 the smallest.
    """

    name: str
    level: float | None = None

    def __call__(self, samples: np.ndarray, rate: int) -> tuple[int, np.ndarray]:
        """(bits of the whole file, the samples that come back), as many as went in."""
        import soundfile

        data = self.pack(samples, rate)
        again, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        missing = len(samples) - len(again)
        if missing > 0:
            again = np.pad(again, (0, missing))
        return 8 * len(data), again[: len(samples)]

    def pack(self, samples: np.ndarray, rate: int) -> bytes:
        """The file."""
        import soundfile

        samples, rate = _row(samples), whole("rate", rate)
        if not len(samples):
            raise ValueError("there is not a single sample")
        container, subtype = ("FLAC", "PCM_16") if self.name == "FLAC" else ("OGG", self.name)
        buffer = io.BytesIO()
        with soundfile.SoundFile(buffer, "w", rate, 1, subtype, format=container, compression_level=self.level) as file:
            for i in range(0, len(samples), BLOCK):
                file.write(samples[i : i + BLOCK])
        return buffer.getvalue()


def player(samples: np.ndarray, rate: int):
    """Something that a notebook shows as a player: the samples, as FLAC inside the page."""
    from IPython.display import Audio

    shown = Audio(data=Codec("FLAC").pack(np.clip(samples, -1, 1), rate), rate=rate)
    shown.mimetype = "audio/flac"
    return shown
