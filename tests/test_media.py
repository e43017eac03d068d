"""Pictures and sound as tokens: bad input, exact transforms, quantisers against their reference, one vocabulary."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import bpe, media, sources
from helpers.media import learned
from helpers.paths import ROOT

CHANCE = np.random.default_rng(0)
RATE = 16_000


def speech() -> np.ndarray:
    """A second of recorded speech."""
    files = sorted((sources.fetch("pocketsphinx") / "librivox").glob("*.wav"))
    samples, rate = media.read_audio(files[-1])
    assert rate == RATE
    return samples[RATE : 2 * RATE]


# -- pictures that are not what one expects ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (17, 1), (31, 45), (64, 64)])
@pytest.mark.parametrize("size", [1, 4, 7, 16])
def test_a_picture_of_any_size_comes_back_from_its_patches(shape, size):
    image = media.as_image(CHANCE.integers(0, 256, (*shape, 3), dtype=np.uint8))
    cut = media.patches(image, size)
    assert cut.shape == (-(-shape[0] // size) * -(-shape[1] // size), size * size * 3)
    np.testing.assert_array_equal(media.unpatch(cut, image.shape, size), image)


def test_patches_go_row_by_row():
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1) / 16
    np.testing.assert_array_equal(media.patches(image, 2)[1] * 16, [2, 3, 6, 7])


def test_the_edge_is_repeated_where_a_patch_reaches_beyond():
    image = np.array([[0.25, 0.75]], dtype=np.float32)[:, :, None]
    np.testing.assert_array_equal(media.patches(image, 3), [[0.25, 0.75, 0.75] * 3])


def test_every_kind_of_picture_becomes_the_same_three_channels():
    grey = np.array([[0, 51], [102, 255]], dtype=np.uint8)
    wanted = np.repeat(grey[:, :, None] / np.float32(255), 3, axis=2)
    opaque = np.full_like(grey, 255)
    for same in (
        grey, grey[:, :, None], np.stack([grey, opaque], 2),
        np.stack([grey] * 3, 2), np.stack([grey, grey, grey, opaque], 2),
        grey.astype(np.uint16) * 257, grey / 255, (grey / 255).astype(np.float32),
    ):  # fmt: skip
        image = media.as_image(same)
        assert image.dtype == np.float32 and image.shape == (2, 2, 3)
        np.testing.assert_allclose(image, wanted, atol=1e-6)
    np.testing.assert_array_equal(media.as_image(grey > 60)[:, :, 0], [[0, 0], [1, 1]])


def test_what_is_transparent_lies_on_white():
    black = np.zeros((1, 3, 4), dtype=np.uint8)
    black[0, :, 3] = 0, 128, 255
    np.testing.assert_allclose(media.as_image(black)[0, :, 0], [1, 1 - 128 / 255, 0], atol=1e-6)
    np.testing.assert_allclose(media.as_image(black[:, :, 2:])[0, :, 1], [1, 1 - 128 / 255, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((0, 4)), "no pixels"),
        (np.zeros(5), "(H, W)"),
        (np.zeros((2, 2, 5), np.uint8), "1 to 4 channels"),
        (np.zeros((2, 2, 2, 3), np.uint8), "1 to 4 channels"),
        (np.array([[0.5, math.nan]]), "1 values are NaN"),
        (np.array([[0.5, math.inf]]), "1 values are NaN"),
        (np.array([[0.0, 16.0]]), "0..16"),
        (np.array([[-0.1, 1.0]]), "-0.1..1"),
        (np.array([[1, 2]]), "int64 is not known"),
        (np.array([["a"]]), "is not known"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, told):
    with pytest.raises(ValueError) as refused:
        media.as_image(array)
    assert told in str(refused.value)


def test_files_of_every_mode_are_read(tmp_path):
    deep = Image.fromarray(np.array([[0, 65535]], dtype=np.uint16))
    colour = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    for name, picture, first in (
        ("deep.png", deep, [0, 0, 0]),
        ("alpha.png", colour, [1, 1, 1]),
        ("palette.png", Image.new("RGB", (2, 1), (0, 255, 0)).quantize(4), [0, 1, 0]),
        ("bits.png", Image.new("1", (2, 1), 1), [1, 1, 1]),
        ("cmyk.tif", Image.new("CMYK", (2, 1), (0, 0, 0, 0)), [1, 1, 1]),
    ):
        picture.save(tmp_path / name)
        image = media.read_image(tmp_path / name)
        assert image.shape == (1, 2, 3)
        np.testing.assert_allclose(image[0, 0], first)
    assert media.read_image(tmp_path / "deep.png")[0, 1, 0] == 1


def test_a_broken_picture_file_is_named(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(CHANCE.integers(0, 256, (64, 64), dtype=np.uint8)).save(buffer, "PNG")
    for name, data in (("text.png", b"not a picture"), ("cut.png", buffer.getvalue()[:2000]), ("empty.png", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture"):
            media.read_image(tmp_path / name)


def test_how_alike_two_pictures_are():
    image = media.as_image(CHANCE.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    assert media.psnr(image, image) == math.inf and media.ssim(image, image) == pytest.approx(1)
    assert media.psnr(image, image + np.float32(0.1)) == pytest.approx(20, abs=1e-4)  # an error of a tenth: -20 log10
    with pytest.raises(ValueError, match="cannot be compared"):
        media.psnr(image, image[:8])
    with pytest.raises(ValueError, match="7 x 7 pixels"):
        media.ssim(image[:1, :1], image[:1, :1])


def test_jpeg_at_a_size_is_the_best_that_fits():
    image = media.as_image(Image.fromarray(CHANCE.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((64, 64)))
    limit = 12_000
    size, again = media.jpeg_at(image, limit)
    sizes = {q: media.jpeg(image, q)[0] for q in range(1, 96)}
    assert size == max(s for s in sizes.values() if s <= limit)
    assert again.shape == image.shape
    smallest, _ = media.jpeg_at(image, 0)
    assert smallest == sizes[1]
    assert media.jpeg(image[:, :, :1], 90)[1].shape == (64, 64, 1)
    assert media.png_bits(image) > 8 * 57  # signature, header and end alone


# -- sound that is not what one expects --------------------------------------------------------------------------------


def test_sound_of_every_type_and_of_several_channels():
    whole = np.array([-32768, 0, 16384], dtype=np.int16)
    np.testing.assert_array_equal(media.as_audio(whole), np.float32([-1, 0, 0.5]))
    np.testing.assert_array_equal(media.as_audio(whole.astype(np.int32) << 16), np.float32([-1, 0, 0.5]))
    stereo = np.array([[1.0, 0.0], [-0.5, 0.5]])
    np.testing.assert_array_equal(media.as_audio(stereo), np.float32([0.5, 0]))
    assert media.as_audio(whole).dtype == np.float32


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (np.zeros(0), "not a single sample"),
        (np.zeros((0, 2)), "not a single sample"),
        (np.array([0.0, math.nan, math.inf]), "2 samples are NaN"),
        (np.array([0.0, 3.2]), "reach 3.2"),
        (np.zeros((2, 3, 4)), "(n, channels)"),
        (np.zeros((2, 9)), "1 to 8 channels"),
        (np.array([1, 2], dtype=np.int64), "int64 is not known"),
        (np.float64(0.5), "(n, channels)"),
    ],
)
def test_an_array_that_is_no_sound_is_refused(samples, told):
    with pytest.raises(ValueError) as refused:
        media.as_audio(samples)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("awful.wav", "1,092,676 samples per second"),
        ("bad.wav", "No 'data' chunk"),
        ("evil.wav", "No 'data' chunk"),
        ("null.wav", "not a single sample"),
    ],
)
def test_files_that_were_damaged_on_purpose_are_named_with_what_is_wrong(name, told):
    with pytest.raises(ValueError, match=f"{name} cannot be read as sound: ") as refused:
        media.read_audio(sources.fetch("pocketsphinx") / name)
    assert told in str(refused.value) and str(ROOT) not in str(refused.value)


def test_a_file_that_is_cut_off_or_no_sound_is_named(tmp_path):
    (tmp_path / "text.wav").write_bytes(b"RIFF and nothing else")
    (tmp_path / "empty.wav").write_bytes(b"")
    for name in ("text.wav", "empty.wav"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as sound"):
            media.read_audio(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        media.read_audio(tmp_path / "nowhere.wav")


@pytest.mark.parametrize("samples", [np.zeros(1000), np.ones(1) / 2, np.zeros(1), CHANCE.uniform(-1, 1, 7)])
def test_silence_and_single_samples_go_through_everything(samples):
    samples = media.as_audio(samples)
    assert np.abs(media.mulaw_decode(media.mulaw_encode(samples)) - samples).max() < 0.02
    np.testing.assert_allclose(media.imdct(media.mdct(samples, 160), len(samples)), samples, atol=1e-12)
    assert media.frames(samples, 8).size >= len(samples)
    codebooks = media.learn(CHANCE.normal(size=(50, 8)), 4, seed=0, depth=2)
    assert media.encode(media.frames(samples, 8), codebooks).max() < 4
    bits, again = media.Codec("FLAC")(samples, RATE)
    assert bits > 0 and np.abs(again - samples).max() < 2**-15
    if not samples.any():
        for judge in (media.snr, lambda a, b: media.segmental_snr(a, b, RATE)):
            with pytest.raises(ValueError, match="silent"):
                judge(samples, samples)


# -- transforms and measures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 16, 160])
@pytest.mark.parametrize("length", [1, 159, 160, 1601])
def test_the_mdct_alone_reconstructs_to_rounding(size, length):
    samples = CHANCE.uniform(-1, 1, length)
    coefficients = media.mdct(samples, size)
    assert coefficients.shape == (-(-length // size) + 1, size)
    again = media.imdct(coefficients, length)
    assert again.shape == samples.shape
    np.testing.assert_allclose(again, samples, atol=1e-13)


def test_the_mdct_is_what_its_formula_says():
    N, samples = 8, CHANCE.uniform(-1, 1, 24)
    n, k = np.arange(2 * N)[:, None], np.arange(N)
    basis = np.sqrt(2 / N) * np.cos(np.pi / N * (n + 0.5 + N / 2) * (k + 0.5)) * np.sin(np.pi * (n + 0.5) / (2 * N))
    padded = np.pad(samples, N)
    for frame, got in enumerate(media.mdct(samples, N)):
        np.testing.assert_allclose(padded[frame * N : (frame + 2) * N] @ basis, got, atol=1e-12)


def test_an_odd_frame_is_refused():
    with pytest.raises(ValueError, match="even"):
        media.mdct(np.ones(10), 5)


def test_mulaw_has_256_ids_that_come_back_as_themselves_and_gives_soft_sounds_finer_steps():
    ids = np.arange(256)
    samples = media.mulaw_decode(ids)
    assert samples.min() == -1 and samples.max() == 1
    np.testing.assert_array_equal(media.mulaw_encode(samples), ids)
    steps = np.diff(samples)
    assert steps[127] < steps[200] < steps[254]


def test_snr_is_the_ratio_it_says():
    samples = speech()
    noise = 0.1 * samples  # a tenth of the amplitude: a hundredth of the energy, in every frame
    assert media.snr(samples, samples + noise) == pytest.approx(20, abs=1e-3)
    assert media.segmental_snr(samples, samples + noise, RATE) == pytest.approx(20, abs=1e-3)
    assert media.snr(samples, samples) == math.inf
    with pytest.raises(ValueError, match="cannot be compared"):
        media.snr(samples, samples[:-1])


def test_upside_down_has_a_terrible_snr_and_the_same_spectrum():
    samples = speech()
    assert media.snr(samples, -samples) == pytest.approx(-20 * math.log10(2), abs=1e-3)
    assert media.log_spectral_distance(samples, -samples, RATE) < 1e-6
    assert media.log_spectral_distance(samples, samples / 2, RATE) > 3  # six dB wherever it is not silent


def test_a_full_sine_is_at_0_db_and_in_its_row():
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    picture = media.spectrogram(sine, RATE)
    middle = picture[:, picture.shape[1] // 2]
    assert middle.argmax() == 32 and middle.max() == pytest.approx(0, abs=0.1)  # rows of 31.25 Hz


@pytest.mark.parametrize("codec", [media.Codec("FLAC"), media.Codec("VORBIS", 0.5), media.Codec("OPUS", 0.9)])
def test_codecs_of_others_give_back_as_many_samples_in_the_same_place(codec):
    samples = speech()
    bits, again = codec(samples, RATE)
    assert again.shape == samples.shape and 0 < bits < 16 * len(samples)
    shifts = [np.dot(samples[200:-200], np.roll(again, s)[200:-200]) for s in range(-100, 101)]
    assert int(np.argmax(shifts)) == 100  # not shifted
    if codec.name == "FLAC":
        np.testing.assert_allclose(again, samples, atol=2**-15)


def test_long_sound_goes_through_vorbis():
    """libsndfile overflows its stack on some long writes; that would take the whole process down."""
    samples = np.tile(speech(), 30)
    assert media.Codec("VORBIS", 0.5)(samples, RATE)[1].shape == samples.shape


def test_a_player_holds_the_sound_without_loss():
    samples = speech()
    shown = media.player(samples, RATE)
    import soundfile

    again, rate = soundfile.read(io.BytesIO(shown.data), dtype="float32")
    assert rate == RATE and "data:audio/flac;base64," in shown._repr_html_()
    np.testing.assert_allclose(again, samples, atol=2**-15)


# -- quantisation ------------------------------------------------------------------------------------------------------


def test_nearest_is_what_a_plain_loop_finds():
    vectors, codebook = CHANCE.normal(size=(300, 5)).astype(np.float32), CHANCE.normal(size=(40, 5)).astype(np.float32)
    plain = [min(range(40), key=lambda c: ((vector - codebook[c]) ** 2).sum()) for vector in vectors]
    np.testing.assert_array_equal(media.nearest(vectors, codebook), plain)
    assert media.nearest(np.zeros((1, 2)), np.ones((3, 2)))[0] == 0  # of equal ones the first
    assert media.nearest(vectors[:0], codebook).shape == (0,)


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_the_error_on_training_vectors_never_rises_with_depth(seed, d):
    vectors = np.random.default_rng(seed).standard_t(3, size=(200, d)).astype(np.float32)
    codebooks = media.learn(vectors, 5, seed=seed, depth=4)
    ids = media.encode(vectors, codebooks)
    errors = [((vectors - media.decode(ids[:, :depth], codebooks)) ** 2).sum() for depth in (1, 2, 3, 4)]
    errors.insert(0, (vectors**2).sum())
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(errors))


def test_the_first_levels_of_deep_ids_are_the_shallow_ids():
    vectors = CHANCE.normal(size=(500, 3))
    codebooks = media.learn(vectors, 8, seed=1, depth=3)
    np.testing.assert_array_equal(media.encode(vectors, codebooks)[:, :2], media.encode(vectors, codebooks[:2]))


def test_the_same_seed_learns_the_same_codebook():
    vectors = CHANCE.normal(size=(300, 3))
    first, again, other = (media.learn(vectors, 8, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_too_few_vectors_are_refused():
    with pytest.raises(ValueError, match="3 vectors are too few for 4 codes"):
        media.learn(np.zeros((3, 2)), 4, seed=0)
    with pytest.raises(ValueError, match="level 1 has fewer than 4 different vectors"):
        media.learn(np.repeat(np.eye(2), 5, axis=0), 4, seed=0)
    with pytest.raises(ValueError, match="level 2 has fewer than 4"):  # the first level knows every vector by heart
        media.learn(np.arange(4.0)[:, None], 4, seed=0, depth=2)
    with pytest.raises(ValueError, match="finite"):
        media.learn(np.array([[math.nan], [1.0]]), 1, seed=0)


def test_ids_out_of_range_are_refused_and_never_wrap_around():
    codebooks = np.zeros((2, 4, 3), dtype=np.float32)
    for wrong in ([[4, 0]], [[-1, 0]]):
        with pytest.raises(ValueError, match=r"0\.\.3"):
            media.decode(np.array(wrong), codebooks)
    with pytest.raises(ValueError, match="3 levels"):
        media.decode(np.zeros((1, 3), dtype=int), codebooks)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 20), st.randoms())
def test_flat_rows_come_back_and_levels_keep_apart(depth, k, n, chance):
    ids = np.array([[chance.randrange(k) for _ in range(depth)] for _ in range(n)], dtype=np.int64).reshape(n, depth)
    row = media.flatten(ids, k)
    np.testing.assert_array_equal(media.unflatten(row, k, depth), ids)
    for level in range(depth):
        assert all(level * k <= code < (level + 1) * k for code in row[level::depth])


def test_a_flat_row_that_is_cut_or_shifted_is_refused():
    row = media.flatten(np.array([[1, 2], [3, 0]]), 4)
    for wrong, told in ((row[:-1], "do not divide"), (row[[1, 0, 2, 3]], r"0\.\.3")):
        with pytest.raises(ValueError, match=told):
            media.unflatten(wrong, 4, 2)


def test_usage_and_bits_of_ids_that_can_be_counted_by_hand():
    ids = np.array([[0], [0], [1], [1]])
    found = media.usage(ids, 8)
    assert (found.used, found.dead, found.perplexity) == (0.25, 6, pytest.approx(2))
    assert media.bits(ids, 8) == 3
    known = np.array([[0], [0], [1]])  # (2 + 1) / (3 + 8) and (1 + 1) / (3 + 8)
    assert media.bits(ids, 8, known) == pytest.approx(-(math.log2(3 / 11) + math.log2(2 / 11)) / 2)
    both = np.hstack([ids, np.array([[0], [1], [2], [3]])])
    assert media.usage(both, 8).perplexity == pytest.approx(math.sqrt(2 * 4))
    assert media.bits(both, 8) == 6


# -- against vector-quantize-pytorch -----------------------------------------------------------------------------------


def theirs(codebook: np.ndarray, **settings):
    from vector_quantize_pytorch import VectorQuantize

    layer = VectorQuantize(dim=codebook.shape[1], codebook_size=len(codebook), **settings)
    layer._codebook.embed.data.copy_(torch.from_numpy(codebook)[None])
    layer._codebook.embed_avg.data.copy_(torch.from_numpy(25 * codebook)[None])
    layer._codebook.cluster_size.data.fill_(25.0)
    return layer


def test_the_same_codebook_gives_the_ids_of_vector_quantize_pytorch():
    vectors = CHANCE.normal(size=(500, 6)).astype(np.float32)
    codebook = media.learn(vectors, 32, seed=0)[0]
    quantised, ids, _ = theirs(codebook).eval()(torch.from_numpy(vectors)[None])
    np.testing.assert_array_equal(media.nearest(vectors, codebook), ids[0].numpy())
    np.testing.assert_allclose(codebook[media.nearest(vectors, codebook)], quantised[0].numpy(), atol=1e-6)
    ours = learned.VectorQuantiser(32, 6).eval()
    ours.codebook.data.copy_(torch.from_numpy(codebook))
    np.testing.assert_array_equal(ours(torch.from_numpy(vectors))[1].numpy(), ids[0].numpy())


def test_residual_ids_are_those_of_vector_quantize_pytorch():
    from vector_quantize_pytorch import ResidualVQ

    vectors = CHANCE.normal(size=(400, 6)).astype(np.float32)
    codebooks = media.learn(vectors, 16, seed=0, depth=3)
    layer = ResidualVQ(dim=6, codebook_size=16, num_quantizers=3).eval()
    for part, codebook in zip(layer.layers, codebooks, strict=True):
        part._codebook.embed.data.copy_(torch.from_numpy(codebook)[None])
    quantised, ids, _ = layer(torch.from_numpy(vectors)[None])
    np.testing.assert_array_equal(media.encode(vectors, codebooks), ids[0].numpy())
    np.testing.assert_allclose(media.decode(ids[0].numpy(), codebooks), quantised[0].detach().numpy(), atol=1e-5)


def test_running_means_move_the_codebook_as_in_vector_quantize_pytorch():
    codebook = CHANCE.normal(size=(8, 4)).astype(np.float32)
    batch = torch.from_numpy(CHANCE.normal(size=(200, 4)).astype(np.float32))
    layer = theirs(codebook, decay=learned.DECAY, eps=learned.SMOOTHING, threshold_ema_dead_code=0).train()
    ours = learned.VectorQuantiser(8, 4).train()
    ours.codebook.data.copy_(torch.from_numpy(codebook))
    ours.sums.copy_(torch.from_numpy(25 * codebook))
    ours.counts.fill_(25.0)  # its share of 200 vectors, so that none is dead
    for _ in range(5):
        layer(batch[None])
        ours.follow(batch, ours.ids(batch))
    moved = (ours.codebook.detach() - torch.from_numpy(codebook)).abs().max()
    assert moved > 0.01
    torch.testing.assert_close(ours.codebook.data, layer._codebook.embed[0])


def test_fsq_is_that_of_vector_quantize_pytorch():
    from vector_quantize_pytorch import FSQ

    z = torch.from_numpy(CHANCE.normal(scale=2, size=(3, 50, 4)).astype(np.float32))
    layer, ours = FSQ(levels=[8, 5, 5, 5]), learned.FSQ((8, 5, 5, 5))
    quantised, ids = layer(z)
    ours_quantised, ours_ids, loss = ours(z)
    assert torch.equal(ours_ids, ids.long()) and loss == 0
    torch.testing.assert_close(ours_quantised, quantised)
    torch.testing.assert_close(ours.vectors(ours_ids), quantised)
    every = torch.arange(ours.codes)
    assert ours.codes == 1000 and len(ours.vectors(every).unique(dim=0)) == 1000


# -- the trained tokenizers --------------------------------------------------------------------------------------------


def test_gradients_pass_a_quantiser_as_if_it_were_not_there():
    for quantiser in (learned.VectorQuantiser(8, 4), learned.VectorQuantiser(8, 4, ema=False)):
        z = torch.randn(10, 4, requires_grad=True)
        quantised, ids, _ = quantiser.eval()(z)
        torch.testing.assert_close(quantised, quantiser.codebook[ids])
        quantised.sum().backward()
        torch.testing.assert_close(z.grad, torch.ones_like(z))


def test_a_dead_code_is_put_on_a_vector_of_the_batch():
    quantiser = learned.VectorQuantiser(4, 2).train()
    batch = torch.randn(64, 2)
    quantiser.begin(batch, len(batch))
    quantiser.codebook.data[3] = 1e3  # where no vector ever is
    quantiser.counts[3] = 0.0
    quantiser(batch)
    assert any(torch.equal(quantiser.codebook[3], vector) for vector in batch)


def test_a_small_autoencoder_learns_and_follows_from_its_seed():
    digits = np.kron(CHANCE.random((40, 2, 2)), np.ones((4, 4))).astype(np.float32)  # four flat squares
    for make in (lambda: learned.VectorQuantiser(16, 4), lambda: learned.FSQ((5, 5))):
        first, again = (learned.train_autoencoder(make, digits, 150, seed=0) for _ in range(2))
        ids = first.encode(digits)
        assert ids.shape == (40, 4) and 0 <= ids.min() and ids.max() < first.quantiser.codes
        np.testing.assert_array_equal(ids, again.encode(digits))
        drawn = first.decode(ids)
        assert drawn.shape == digits.shape and drawn.min() >= 0 and drawn.max() <= 1
        assert media.psnr(digits, drawn) > 3 + media.psnr(digits, np.full_like(digits, digits.mean()))


# -- one vocabulary ----------------------------------------------------------------------------------------------------

TOKENIZER = bpe.train_tokenizer(["seven of clubs, a seven and a picture of it"] * 3, vocab_size=280)
VOCABULARY = media.Vocabulary(TOKENIZER, image=64, audio=512)


def test_kinds_and_boundaries_never_collide():
    v, specials = VOCABULARY, set(TOKENIZER.specials.values())
    kinds = [v.kind(i) for i in range(v.vocab_size)]
    assert kinds.count("image") == 64 and kinds.count("audio") == 512
    assert kinds.count("text") == len(TOKENIZER.vocab)
    assert {i for i, kind in enumerate(kinds) if kind == "boundary"} == specials | {*v.begin.values(), *v.end.values()}
    for wrong in (-1, v.vocab_size):
        with pytest.raises(ValueError, match="no id"):
            v.kind(wrong)


segment = st.one_of(
    st.tuples(st.just("image"), st.lists(st.integers(0, 63), min_size=1, max_size=9)),
    st.tuples(st.just("audio"), st.lists(st.integers(0, 511), min_size=1, max_size=9)),
    st.tuples(st.just("text"), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)),
)


@given(st.lists(segment, max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_document_comes_back(segments):
    row = VOCABULARY.encode(segments)
    wanted = []
    for kind, content in segments:
        if kind == "text" and wanted and wanted[-1][0] == "text":
            wanted[-1] = ("text", wanted[-1][1] + content)  # nothing stands between them
        else:
            wanted.append((kind, content))
    assert [
        (kind, content if kind == "text" else content.tolist()) for kind, content in VOCABULARY.decode(row)
    ] == wanted
    assert all(0 <= i < VOCABULARY.vocab_size for i in row)


@pytest.mark.parametrize("text", ["<image>", "<|bos|>", "<|eos|>", "</image>", "<|image|>7<|end|>", "\x00"])
def test_text_cannot_forge_a_boundary(text):
    row = VOCABULARY.encode([("text", text)])
    assert {VOCABULARY.kind(i) for i in row[1:-1]} == {"text"}
    assert VOCABULARY.decode(row) == [("text", text)]


@pytest.mark.parametrize(
    ("kind", "codes", "told"),
    [
        ("image", [64], r"0\.\.63"),
        ("image", [-1], r"0\.\.63"),
        ("audio", [512], r"0\.\.511"),
        ("image", [], "a row of whole numbers"),
        ("image", [0.5], "a row of whole numbers"),
        ("image", [[1, 2]], "a row of whole numbers"),
        ("image", [True], "a row of whole numbers"),
        ("video", [1], "no kind 'video'"),
    ],
)
def test_codes_that_would_land_elsewhere_are_refused(kind, codes, told):
    with pytest.raises(ValueError, match=told):
        VOCABULARY.encode([(kind, codes)])


def test_rows_that_no_document_gives_are_refused():
    v = VOCABULARY
    good = v.encode([("text", "a"), ("image", [1, 2]), ("audio", [3])])
    begin, end = good.index(v.begin["image"]), good.index(v.end["image"])
    for wrong, told in (
        (good[:-1], "ends with eos"),
        (good[1:], "begins with bos"),
        ([], "begins with bos"),
        (good[:end] + good[end + 1 :], "does not end"),
        (good[:begin] + good[begin + 1 :], "is image, where"),
        (good[: begin + 1] + good[end:], "something other than image"),
        ([*good[: begin + 2], good[1], *good[begin + 2 :]], "something other than image"),
        ([*good[: begin + 2], v.begin["audio"], *good[begin + 2 :]], "something other than image"),
        ([good[0], v.end["audio"], good[-1]], "is boundary, where"),
        ([good[0], v.vocab_size, good[-1]], "no id"),
        ([good[0], good[0], good[-1]], "is boundary, where"),
    ):
        with pytest.raises(ValueError, match=told):
            v.decode(wrong)


def test_a_tokenizer_without_document_marks_is_refused():
    with pytest.raises(ValueError, match="open and close"):
        media.Vocabulary(bpe.published("gpt-4"), image=4, audio=4)
    for number in (0, 2.5, True):
        with pytest.raises(ValueError, match=r"image, the number of its codes, is .* at least 1"):
            media.Vocabulary(TOKENIZER, image=number, audio=4)
    assert type(media.Vocabulary(TOKENIZER, image=np.int64(4), audio=np.int64(4)).vocab_size) is int


# ---- ids, patches and vectors that cannot be meant ----


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_ids_of_any_whole_number_type_are_the_same_ids(dtype):
    ids = np.array([[1, 2], [250, 3]], dtype)
    assert media.flatten(ids, 256).tolist() == [1, 258, 250, 259]
    assert np.array_equal(media.mulaw_decode(np.array([200], np.uint8)), media.mulaw_decode(np.array([200])))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: media.patches(np.zeros((8, 8, 3)), 0), "in pixels, is 0"),
        (lambda: media.patches(np.zeros((8, 8)), 4), r"\(H, W, C\)"),
        (lambda: media.encode(np.zeros((4, 5)), np.zeros((1, 8, 4))), r"\(n, 4\) vectors"),
        (lambda: media.encode(np.full((4, 4), np.nan), np.zeros((1, 8, 4))), "NaN"),
        (lambda: media.decode(np.zeros((4, 1)), np.zeros((1, 8, 4))), "whole numbers"),
        (lambda: media.jpeg(np.full((8, 8, 3), np.nan), 50), "NaN"),
        (lambda: media.mulaw_decode(np.array([256])), r"0\.\.255"),
        (lambda: media.mulaw_encode(np.array([np.nan])), "finite"),
        (lambda: media.frames(np.zeros(8), 0), "at least 1"),
        (lambda: media.frames(np.zeros((4, 2)), 3), "one channel"),
        (lambda: media.mdct(np.zeros((4, 2)), 4), "one channel"),
        (lambda: media.imdct(np.zeros((3, 5)), 8), "even size"),
        (lambda: media.imdct(np.zeros(8), 8), "even size"),
        (lambda: media.mulaw_decode(np.array([])), "not float64"),
        (lambda: media.mulaw_decode(np.array(["1"])), "whole numbers"),
        (lambda: media.mulaw_encode(np.array([0.5j])), "finite"),
        (lambda: media.snr(np.array([1.0, np.nan]), np.ones(2)), "NaN"),
        (lambda: media.spectrogram(np.zeros(100), 100), "higher rate"),
        (lambda: media.Codec("FLAC")(np.array([np.nan]), 16_000), "NaN"),
        (lambda: media.player(np.array([np.nan]), 16_000), "NaN"),
        (lambda: media.nearest(np.zeros((3, 5)), np.zeros((4, 2))), r"\(n, 2\) vectors"),
        (lambda: media.nearest(np.full((3, 2), np.nan), np.zeros((4, 2))), "finite"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(call, told):
    with pytest.raises(ValueError, match=told):
        call()


# -- what is no picture, no codebook, no ids ---------------------------------------------------------------------------

PICTURE = np.zeros((8, 8, 3), np.float32)
NO_NUMBER = np.full((8, 8, 3), np.nan, np.float32)
BOOKS = np.zeros((1, 4, 2), np.float32)
IDS = np.zeros((3, 1), np.int64)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: media.patches(NO_NUMBER, 4), "NaN"),
        (lambda: media.psnr(PICTURE, NO_NUMBER), "NaN"),
        (lambda: media.psnr(PICTURE.astype(np.uint8), PICTURE.astype(np.uint8)), "as_image"),
        (lambda: media.ssim(PICTURE[:, :, 0], PICTURE[:, :, 0]), r"\(H, W, C\)"),
        (lambda: media.jpeg(PICTURE.astype(np.uint8), 90), "as_image"),
        (lambda: media.jpeg(PICTURE, 101), "1..100"),
        (lambda: media.jpeg_at(PICTURE, math.nan), "0 or more"),
        (lambda: media.jpeg(PICTURE[:, :, :2], 90), "1 or 3 channels"),
        (lambda: media.unpatch(media.patches(PICTURE, 4), (4, 16, 3), 4), None),
        (lambda: media.unpatch(media.patches(PICTURE, 4), (8, 9, 3), 4), "do not make a picture"),
        (lambda: media.unpatch(media.patches(PICTURE, 4), (8, 8, 3), 0), "at least 1"),
        (lambda: media.encode(np.zeros((3, 2)), BOOKS * np.nan), "finite"),
        (lambda: media.encode(np.zeros((3, 2)), BOOKS.astype(np.uint8)), "uint8"),
        (lambda: media.encode(np.zeros((3, 2)), BOOKS[:0]), "finite"),
        (lambda: media.decode(np.zeros((3, 0), np.int64), BOOKS), "depth"),
        (lambda: media.learn(np.zeros((3, 2)), 0, seed=1), "at least 1"),
        (lambda: media.learn(np.zeros((3, 2)), 2, seed=1, depth=0), "at least 1"),
        (lambda: media.unflatten(np.array([0.9, 4.2]), 4, 2), "whole numbers"),
        (lambda: media.unflatten(np.array([[0, 4]]), 4, 2), "row"),
        (lambda: media.unflatten(np.array([0, 4]), 4, 0), "at least 1"),
        (lambda: media.usage(IDS[:0], 4), "no ids"),
        (lambda: media.bits(IDS, 4, known=IDS + 9), r"0\.\.3"),
        (lambda: media.bits(IDS, 4, known=np.zeros((3, 2), np.int64)), "other levels"),
        (lambda: learned.FSQ((1, 3)), "at least 2"),
        (lambda: media.nearest(np.zeros((3, 2)), BOOKS[0] * np.nan), "finite"),
        (lambda: media.nearest(np.zeros((3, 2)), BOOKS[0, :0]), "finite"),
        (lambda: media.unpatch(media.patches(PICTURE, 4) * np.nan, (8, 8, 3), 4), "NaN"),
        (lambda: media.unpatch(media.patches(PICTURE, 4) + np.inf, (8, 8, 3), 4), "infinite"),
        (lambda: media.imdct(np.full((3, 4), np.nan), 8), "NaN"),
        (lambda: media.imdct(np.full((3, 4), np.inf), 8), "infinite"),
        (lambda: media.imdct(np.zeros((3, 4)), 9), "hold 8 samples"),
        (lambda: media.imdct(np.zeros((3, 4)), -1), "length is -1"),
        (lambda: media.imdct(np.zeros((3, 0)), 0), "even size"),
        (lambda: media.psnr(PICTURE[:0], PICTURE[:0]), "no pixels"),
        (lambda: media.psnr(PICTURE, PICTURE[:4]), "cannot be compared"),
        (lambda: media.ssim(PICTURE[:, :, :0], PICTURE[:, :, :0]), "no pixels"),
        (lambda: media.Codec("FLAC")(np.zeros(8), 8000.5), "rate is 8000.5"),
        (lambda: media.spectrogram(np.zeros(800), 8000.0), "whole number"),
        (lambda: media.Codec("FLAC")(np.zeros(0), 16_000), "not a single sample"),
        (lambda: learned.VectorQuantiser(0, 2), "codes is 0"),
        (lambda: learned.VectorQuantiser(8, 2).ids(torch.full((3, 2), math.nan)), "NaN"),
        (lambda: learned.FSQ((3, 3)).ids(torch.full((3, 2), math.nan)), "NaN"),
        (lambda: learned.FSQ(()), "no levels"),
        (lambda: learned.FSQ((3, 3)).vectors(torch.tensor([99])), r"0\.\.8"),
        (lambda: learned.VectorQuantiser(8, 2).vectors(torch.tensor([-1])), r"0\.\.7"),
        (lambda: learned.VectorQuantiser(8, 2).vectors(torch.tensor([1.5])), "whole numbers"),
        (lambda: learned.Autoencoder(learned.FSQ((3, 3))).encode(np.zeros((2, 7, 7), np.float32)), r"\(n, 8, 8\)"),
        (lambda: learned.Autoencoder(learned.FSQ((3, 3))).encode(np.full((2, 8, 8), np.nan, np.float32)), "finite"),
        (
            lambda: learned.train_autoencoder(lambda: learned.FSQ((3, 3)), np.zeros((9, 8, 8), np.float32), 0, 1),
            "steps",
        ),
    ],
)
def test_what_would_end_in_a_library_or_in_nonsense_is_refused(call, told):
    if told is None:
        call()
        return
    with pytest.raises(ValueError, match=told):
        call()


WITH_A_SIZE = {
    "patches": lambda n: media.patches(PICTURE, n),
    "unpatch": lambda n: media.unpatch(np.zeros((16, 12)), (8, 8, 3), n),
    "shape": lambda n: media.unpatch(np.zeros((4, 3)), (n, 2, 3), 1),
    "quality": lambda n: media.jpeg(PICTURE, n),
    "frames": lambda n: media.frames(np.zeros(8), n),
    "mdct": lambda n: media.mdct(np.zeros(8), n),
    "length": lambda n: media.imdct(np.zeros((3, 4)), n),
    "k": lambda n: media.learn(np.eye(4), n, 1),
    "depth": lambda n: media.learn(np.eye(4), 2, 1, n),
    "seed": lambda n: media.learn(np.eye(4), 2, n),
    "flatten": lambda n: media.flatten(IDS, n),
    "unflatten": lambda n: media.unflatten(np.array([0, 2]), 2, n),
    "usage": lambda n: media.usage(IDS, n),
    "bits": lambda n: media.bits(IDS, n),
    "codes": lambda n: learned.VectorQuantiser(n, 2),
    "width": lambda n: learned.VectorQuantiser(2, n),
    "levels": lambda n: learned.FSQ((3, n)),
}


@pytest.mark.parametrize("call", WITH_A_SIZE.values(), ids=WITH_A_SIZE)
def test_a_size_is_a_whole_number_of_whatever_type(call):
    for size in (2, np.int64(2), np.uint8(2)):
        call(size)
    for size in (2.5, 2.0, np.float32(2), "2"):
        with pytest.raises(ValueError, match="it must be a whole number of at least"):
            call(size)


def test_values_beyond_a_picture_are_clipped_before_they_are_bytes():
    wild = np.random.default_rng(0).normal(0.5, 2, (16, 16, 3)).astype(np.float32)
    for again, clipped in zip(media.jpeg(wild, 90), media.jpeg(wild.clip(0, 1), 90), strict=True):
        assert np.array_equal(again, clipped)
    assert media.png_bits(wild) == media.png_bits(wild.clip(0, 1))


def test_ids_of_bytes_are_ids_and_no_mask():
    quantiser = learned.VectorQuantiser(8, 2)
    assert quantiser.vectors(torch.arange(8, dtype=torch.uint8)).equal(quantiser.codebook)
