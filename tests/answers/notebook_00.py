"""Wrong answers to the exercises of notebook 00, and what the check has to say of them."""

WRONG = {
    "00.1": [
        # The likeliest letter instead of a drawn one.
        ("    return max(range(len(p)), key=lambda i: p[i])", "is too large"),
        # At least r, not more than r: a letter of probability 0 is drawn where r is 0.
        (
            "    total = 0.0\n"
            "    for place, probability in enumerate(p):\n"
            "        total += probability\n"
            "        if total >= r:\n"
            "            return place",
            "is too small, by more than half on",
        ),
        # The sum is never made.
        ("    return next((i for i, x in enumerate(p) if x > r), len(p) - 1)", "is too large"),
    ],
    "00.2": [
        # Number by number.
        (
            "    return [[x * y for x, y in zip(one, two)] for one, two in zip(a, b)]",
            "is too small",
        ),
        # Rows with rows.
        (
            "    return [[sum(x * y for x, y in zip(one, two)) for two in b] for one in a]",
            "is off both ways",
        ),
        # The result has the shape of a.
        (
            "    return [[sum(row[k] * b[k][j] for k in range(len(b))) for j in range(len(b))] for row in a]",
            "stops on",
        ),
    ],
    "00.3": [
        # The same step everywhere, as for whole numbers.
        ("    return 1 / 128", "is too small, by up to a half on 2.0"),
        # int() rounds towards zero, so below 1 it takes the power above.
        ("    return 2.0 ** int(math.log2(x)) / 128", "is too large, by more than half on 0.75"),
        # A share of x itself.
        ("    return x / 128", "is too large, by up to a half on 1.5"),
    ],
    "00.4": [
        # Whole words only.
        (
            '    return max((word for word in text.split() if word in source), key=len, default="")',
            "which is too few",
        ),
        # From the beginning of the text only.
        (
            '    longest = ""\n'
            "    for end in range(1, len(text) + 1):\n"
            "        if text[:end] in source:\n"
            "            longest = text[:end]\n"
            "    return longest",
            "which it should not be",
        ),
        # The last letter is forgotten.
        (
            '    longest = ""\n'
            "    for start in range(len(text)):\n"
            "        for end in range(start + len(longest) + 1, len(text)):\n"
            "            if text[start:end] not in source:\n"
            "                break\n"
            "            longest = text[start:end]\n"
            "    return longest",
            "which it should not be",
        ),
    ],
}
