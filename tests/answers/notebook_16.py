"""Wrong answers to the exercises of notebook 16, and what the check has to say of them."""

WRONG = {
    "16.1": [
        (  # no biases
            "    return 4 * width * width + 2 * width * inner + 4 * width",
            "is too small",
        ),
        (  # one norm instead of two
            "    return 4 * (width * width + width) + 2 * width * inner + inner + width + 2 * width",
            "is too small",
        ),
    ],
    "16.2": [
        (  # the mean goes over the sides as well
            "    safe = np.where(p > 0, p, 1)\n    return float((p * np.log(safe / q)).mean())",
            "is too small",
        ),
        (  # the arguments the wrong way round
            "    safe = np.where(p > 0, p, 1)\n    return float((q * np.log(q / safe)).sum(axis=1).mean())",
            "by more than half on an array of (2, 3)",
        ),
    ],
    "16.3": [
        (  # the normal distribution's factor
            "    apart = np.subtract(second, first)\n"
            "    reach = 1.96 * apart.std(ddof=1) / len(apart) ** 0.5\n"
            "    return [apart.mean() - reach, apart.mean() + reach]",
            "is off both ways",
        ),
        (  # n in the denominator
            "    apart = np.subtract(second, first)\n"
            "    reach = student.ppf(0.975, len(apart) - 1) * apart.std() / len(apart) ** 0.5\n"
            "    return [apart.mean() - reach, apart.mean() + reach]",
            "is off both ways",
        ),
    ],
    "16.4": [
        (  # alpha alone, as if the rank did not matter
            "    return x @ W.T + alpha * (x @ A.T) @ B.T",
            "is off both ways",
        ),
        (  # the width in the place of the rank
            "    return x @ W.T + alpha / len(B) * (x @ A.T) @ B.T",
            "is off both ways",
        ),
    ],
}
