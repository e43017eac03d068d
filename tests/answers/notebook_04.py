"""Wrong answers to the exercises of notebook 04, and what the check has to say of them."""

WRONG = {
    "04.1": [
        # the tail of the file, which holds one kind alone
        ("    return np.arange(len(labels))[-round(share * len(labels)) :]", "where it has '0 of them praise'"),
        # drawn with replacement
        (
            "    held = [rng.choice(np.flatnonzero(labels == k), round(share * np.sum(labels == k))) for k in (0, 1)]\n"
            "    return np.concatenate(held)",
            "first goes wrong at place 2",
        ),
        # of both labels, but always the same ones
        (
            "    places = [np.flatnonzero(labels == label) for label in (0, 1)]\n"
            "    return np.concatenate([p[: round(share * len(p))] for p in places])",
            "where it has 'others from another seed: False'",
        ),
    ],
    "04.2": [
        # counts occurrences where sentences are wanted
        (
            "    rows = counts * (np.log((1 + len(counts)) / (1 + counts.sum(axis=0))) + 1)\n"
            "    length = np.linalg.norm(rows, axis=1, keepdims=True)\n"
            "    return rows / np.where(length == 0, 1, length)",
            "is off both ways",
        ),
        # an empty row is divided by its length, zero
        (
            "    rows = counts * (np.log((1 + len(counts)) / (1 + (counts > 0).sum(axis=0))) + 1)\n"
            "    with np.errstate(invalid='ignore'):\n"
            "        return rows / np.linalg.norm(rows, axis=1, keepdims=True)",
            "holds 3 values that are no finite numbers",
        ),
        # not scaled
        (
            "    return counts * (np.log((1 + len(counts)) / (1 + (counts > 0).sum(axis=0))) + 1)",
            "is too large, by more than half",
        ),
    ],
    "04.3": [
        # the error at the counted share
        (
            "    p = right / n\n    half = 1.96 * np.sqrt(p * (1 - p) / n)\n    return p - half, p + half",
            "is too large, by up to a half, at 2 of 2 places on 8, 10",
        ),
        # one standard error instead of 1.96
        (
            "    counted, tried = right / n, np.linspace(0, 1, 100_001)\n"
            "    fits = np.abs(counted - tried) <= np.sqrt(tried * (1 - tried) / n)\n"
            "    return tried[fits].min(), tried[fits].max()",
            "is off both ways",
        ),
    ],
    "04.4": [
        # the raters on the positive side, whatever the label
        ("    return soft.mean()", "is too small, by up to a half"),
        # the majority, which need not be on the side of the label
        ("    return np.maximum(soft, 1 - soft).mean()", "is too large, a little"),
    ],
    "04.5": [
        # one pair for each fold number
        (
            "    apart = np.array([b - a for a, b in zip(first, second)])\n"
            "    return np.mean(apart * (np.mean(second) - np.mean(first)) < 0)",
            "is too small",
        ),
        # takes for granted that the second is the better one
        ("    return np.mean(np.asarray(second)[:, None] < np.asarray(first))", "is too large, by more than half"),
    ],
}
