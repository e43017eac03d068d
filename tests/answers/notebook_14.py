"""Wrong answers to the exercises of notebook 14, and what the check has to say of them."""

WRONG = {
    "14.1": [
        # What is over goes at the end, so the newest losses are lost.
        (
            "    blocks = len(series) // length\n"
            "    return [float(np.mean(series[i * length : (i + 1) * length])) for i in range(blocks)]",
            "is too large",
        ),
        # A moving mean: blocks that share points.
        (
            "    return [float(np.mean(series[i : i + length])) for i in range(len(series) - length + 1)]",
            "has shape",
        ),
    ],
    "14.2": [
        # Stops at the first loss that is not lower.
        (
            "    for i in range(1, len(val)):\n"
            "        if val[i] >= val[i - 1]:\n"
            "            return i - 1, i\n"
            "    return len(val) - 1, None",
            "too",
        ),
        # Looks at all losses first, those after the stop, too.
        ("    return min(range(len(val)), key=val.__getitem__), None", "wanted"),
    ],
    "14.3": [
        # Not corrected for the start at zero.
        (
            "    average = 0.0\n    for one in g:\n"
            "        average = beta * average + (1 - beta) * one\n    return average",
            "is too small",
        ),
        # The shares changed about.
        (
            "    average = 0.0\n    for one in g:\n"
            "        average = (1 - beta) * average + beta * one\n"
            "    return average / (1 - beta ** len(g))",
            "is too large",
        ),
    ],
}
