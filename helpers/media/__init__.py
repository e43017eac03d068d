"""Pictures and sound as tokens: what turns them into ids and back, what that loses, and one vocabulary with text.

image = media.as_image(array)                          (H, W, 3) float32 in 0..1, whatever it was before
codebooks = media.learn(media.patches(image, 4), k=256, seed=0)
ids = media.encode(media.patches(image, 4), codebooks)
again = media.unpatch(media.decode(ids, codebooks), image.shape, 4)
media.psnr(image, again)

samples, rate = media.read_audio("speech.wav")         (n,) float32 in -1..1
media.Vocabulary(tokenizer, image=64, audio=256).encode([("text", "a seven"), ("image", ids)])

`learned` holds the tokenizers that are trained with torch; it is imported by itself, because torch is slow to load.
"""

from .audio import (
    Codec,
    as_audio,
    frames,
    imdct,
    log_spectral_distance,
    mdct,
    mulaw_decode,
    mulaw_encode,
    player,
    read_audio,
    segmental_snr,
    snr,
    spectrogram,
)
from .images import as_image, jpeg, jpeg_at, patches, png_bits, psnr, read_image, ssim, unpatch
from .quantise import Usage, bits, decode, encode, flatten, learn, nearest, unflatten, usage
from .vocabulary import Vocabulary

__all__ = [
    "Codec", "Usage", "Vocabulary", "as_audio", "as_image", "bits", "decode", "encode", "flatten", "frames", "imdct",
    "jpeg", "jpeg_at", "learn", "log_spectral_distance", "mdct", "mulaw_decode", "mulaw_encode", "nearest", "patches",
    "player", "png_bits", "psnr", "read_audio", "read_image", "segmental_snr", "snr", "spectrogram", "ssim",
    "unflatten", "unpatch", "usage",
]  # fmt: skip
