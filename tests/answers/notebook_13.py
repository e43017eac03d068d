"""Wrong answers to the exercises of notebook 13, and what the check has to say of them."""

WRONG = {
    "13.1": [
        # The norms are forgotten.
        ("    return (vocab_size + block_size) * n_embd + n_layer * 12 * n_embd**2", "is too small"),
        # A head of its own.
        (
            "    blocks = n_layer * (12 * n_embd**2 + 2 * n_embd)\n"
            "    return (2 * vocab_size + block_size) * n_embd + blocks + n_embd",
            "is too large",
        ),
    ],
    "13.2": [
        # One after the other.
        (
            "    n = 0\n    while peak(n + 1) <= limit and n < 3000:\n        n += 1\n    return n",
            "too small",
        ),
        # The first that does not fit.
        (
            "    low, high = 0, 1\n"
            "    while peak(high) <= limit:\n"
            "        low, high = high, 2 * high\n"
            "    while high - low > 1:\n"
            "        middle = (low + high) // 2\n"
            "        low, high = (middle, high) if peak(middle) <= limit else (low, middle)\n"
            "    return high",
            "is too large",
        ),
    ],
    "13.3": [
        # The peak taken for a part.
        (
            '    sizes = budget.memory(shape, sequences, "bfloat16")\n    return max(sizes, key=sizes.get)',
            "which it should not be",
        ),
        # Always the one that is told of most.
        ('    return "weights"', "which it should not be"),
    ],
}
