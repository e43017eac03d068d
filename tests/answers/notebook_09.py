"""Wrong answers to the exercises of notebook 09, and what the check has to say of them."""

WRONG = {
    "09.1": [
        (  # the mean of no vectors
            "    ids, sums = media.nearest(vectors, codebook), np.zeros_like(codebook)\n"
            "    np.add.at(sums, ids, vectors)\n"
            "    with np.errstate(invalid='ignore'):\n"
            "        return sums / np.bincount(ids, minlength=len(codebook))[:, None]",
            "holds 3 values that are no finite numbers",
        ),
        (  # sums over counts of at least one: a code that nobody chooses falls to zero
            "    ids, sums = media.nearest(vectors, codebook), np.zeros_like(codebook)\n"
            "    np.add.at(sums, ids, vectors)\n"
            "    return sums / np.bincount(ids, minlength=len(codebook)).clip(1)[:, None]",
            "is too small, by more than half, at 3 of 6 places",
        ),
        (  # the nearest vector of each code
            "    ids = ((vectors[:, None] - codebook) ** 2).sum(axis=2).argmin(axis=0)\n"
            "    return np.stack([vectors[ids == c].mean(axis=0) for c in range(len(codebook))])",
            "with IndexError",
        ),
    ],
    "09.2": [
        (  # bytes that wrap around
            "    return 10 * np.log10(255**2 / np.mean((image - again) ** 2))",
            "is too large, by more than half",
        ),
        (  # twenty is for amplitudes, ten for their squares
            "    error = np.mean((image.astype(float) - again) ** 2)\n    return 20 * np.log10(255**2 / error)",
            "is too large, by more than half",
        ),
        (  # the peak of pictures in 0..1
            "    return -10 * np.log10(np.mean((image.astype(float) - again) ** 2))",
            "is too small, by more than half",
        ),
    ],
    "09.3": [
        (  # nothing is subtracted
            "    return np.stack([media.nearest(vectors, codebook) for codebook in codebooks], axis=1)",
            "is off both ways",
        ),
        (  # subtracted from the vectors, not from what is left
            "    left, ids = vectors, []\n"
            "    for codebook in codebooks:\n"
            "        ids.append(media.nearest(left, codebook))\n"
            "        left = vectors - codebook[ids[-1]]\n"
            "    return np.stack(ids, axis=1)",
            "is off both ways",
        ),
        (  # one row for each codebook
            "    left, ids = vectors.copy(), []\n"
            "    for codebook in codebooks:\n"
            "        ids.append(media.nearest(left, codebook))\n"
            "        left -= codebook[ids[-1]]\n"
            "    return np.stack(ids)",
            "has shape (4, ",
        ),
    ],
    "09.4": [
        (  # cut off instead of rounded
            "    bent = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)\n"
            "    bent = ((bent + 1) / 2 * 255).astype(int) / 255 * 2 - 1\n"
            "    return np.sign(bent) * (256 ** np.abs(bent) - 1) / 255",
            "is too small, a little",
        ),
        (  # the sign forgotten on the way back
            "    bent = np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256)\n"
            "    bent = ((bent + 1) / 2 * 255).round() / 255 * 2 - 1\n"
            "    return (256**bent - 1) / 255",
            "is too large, by more than half",
        ),
    ],
    "09.5": [
        (  # bytes on one side, bits on the other
            "    book = 4 * depth * k * size * size * 3\n"
            "    return math.ceil(99 * book / (patches * depth * math.log2(k)))",
            "is too small, by more than half",
        ),
        (  # a hundredth of the ids
            "    book = 32 * depth * k * size * size * 3\n"
            "    return math.ceil(100 * book / (patches * depth * math.log2(k)))",
            "is too large, a little",
        ),
    ],
}
