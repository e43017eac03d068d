"""Wrong answers to the exercises of notebook 17, and what the check has to say of them."""

WRONG = {
    "17.1": [
        (  # every bin counts the same
            "    place = np.minimum((2 * bins * (confidence - 0.5)).astype(int), bins - 1)\n"
            "    gaps = [abs(right[place == b].mean() - confidence[place == b].mean())\n"
            "            for b in range(bins) if (place == b).any()]\n"
            "    return float(np.mean(gaps))",
            "is too large",
        ),
        (  # over all answers at once: too much here and too little there cancel
            "    return float(abs(right.mean() - confidence.mean()))",
            "is too small",
        ),
    ],
    "17.2": [
        (  # the probability itself is divided
            "    return np.clip(p, tiny, 1 - tiny) / T",
            "at 3 of 3 places",
        ),
        (  # multiplied where it should be divided
            "    p = np.clip(p, tiny, 1 - tiny)\n    return 1 / (1 + np.exp(-np.log(p / (1 - p)) * T))",
            "at 2 of 3 places",
        ),
    ],
    "17.3": [
        (  # the first letter may move, too
            '    long = [m.span() for m in re.finditer(r"[A-Za-z]{5,}", text)]\n'
            "    if not long:\n"
            "        return text\n"
            "    start, end = chance.choice(long)\n"
            "    i = chance.integers(start, end - 1)\n"
            "    return text[:i] + text[i + 1] + text[i] + text[i + 2:]",
            "which it should not be",
        ),
        (  # a text without a long word ends in an error
            '    long = [m.span() for m in re.finditer(r"[A-Za-z]{5,}", text)]\n'
            "    start, end = chance.choice(long)\n"
            "    i = chance.integers(start + 1, end - 2)\n"
            "    return text[:i] + text[i + 1] + text[i] + text[i + 2:]",
            "stops on 'So so.', 1 with ValueError",
        ),
    ],
    "17.4": [
        (  # from the surest down, and no further than the first failure
            "    found = 1.1\n"
            "    for t in sorted(set(confidence), reverse=True):\n"
            "        if np.mean(right[confidence >= t]) < wanted:\n"
            "            break\n"
            "        found = float(t)\n"
            "    return found",
            "is too large",
        ),
        (  # more than wanted, where at least is asked for
            "    for t in sorted(set(confidence)):\n"
            "        if np.mean(right[confidence >= t]) > wanted:\n"
            "            return float(t)\n"
            "    return 1.1",
            "is too large",
        ),
    ],
}
