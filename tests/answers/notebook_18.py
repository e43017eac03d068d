"""Wrong answers to the exercises of notebook 18, and what the check has to say of them."""

WRONG = {
    "18.1": [
        # relative to the guess
        (
            "    off = np.abs(guess - y)\n    return off.mean(), np.median(off / guess), np.mean(off <= 0.2 * y)",
            "is too small, a little, at 1 of 3 places",
        ),
        # the mean of the relative errors
        (
            "    off = np.abs(guess - y)\n    return off.mean(), np.mean(off / y), np.mean(off <= 0.2 * y)",
            "at 1 of 3 places",
        ),
    ],
    "18.2": [
        # means
        (
            "    groups, y = np.array(groups), np.asarray(y)\n"
            "    return np.array([y[groups == g].mean() if g in groups else np.median(y) for g in asked])",
            "is too large, by more than half, at 1 of 2 places",
        ),
        # zero for what was not seen
        (
            "    groups, y = np.array(groups), np.asarray(y)\n"
            "    return np.array([np.median(y[groups == g]) if g in groups else 0.0 for g in asked])",
            "is too small, by up to a half, at 1 of 3 places",
        ),
    ],
    "18.3": [
        # the library's quantile, which lies between two errors
        ("    return np.quantile(off, level)", "is too small, by up to a half"),
        # promises something where nothing can be promised
        (
            "    k = int(np.ceil((len(off) + 1) * level))\n    return np.sort(off)[min(k, len(off)) - 1]",
            "differs where no finite number is wanted",
        ),
    ],
}
