"""Wrong answers to the exercises of notebook 12, and what the check has to say of them."""

WRONG = {
    "12.1": [
        (  # neighbours as pairs, as the paper draws them
            "    z = torch.complex(x[::2], x[1::2]) * torch.polar(torch.ones(half), place * speeds)\n"
            "    return torch.cat([z.real, z.imag])",
            "the halves keep their order",
        ),
        (  # clockwise
            "    a, b = x[:half], x[half:]\n"
            "    cos, sin = (place * speeds).cos(), (place * speeds).sin()\n"
            "    return torch.cat([a * cos + b * sin, b * cos - a * sin])",
            "on an array of (64,), 1.",
        ),
    ],
    "12.2": [
        ("    return q @ turned(k, distance)", "an array of (64,), 5."),
        ("    return turned(q, distance) @ turned(k, distance)", "Turn only one of the two"),
    ],
    "12.3": [
        (  # without the norm
            "    for _ in range(rounds):\n"
            "        square = x @ x.T\n"
            "        x = a * x + (b * square + c * square @ square) @ x\n"
            "    return x",
            "on an array of (3, 5), 0.",
        ),
        (  # number by number
            "    x = x / x.norm()\n    for _ in range(rounds):\n        x = a * x + b * x**3 + c * x**5\n    return x",
            "`**` works number by number",
        ),
        (  # the product the other way round
            "    x = x / x.norm()\n"
            "    for _ in range(rounds):\n"
            "        square = x.T @ x\n"
            "        x = a * x + (b * square + c * square @ square) @ x\n"
            "    return x",
            "RuntimeError",
        ),
    ],
    "12.4": [
        (  # the first measurement at the target, not the crossing
            "    return next(c for c, loss in zip(characters, losses) if loss <= target)",
            "is too large",
        ),
        (  # the last crossing, not the first
            "    last = max(i for i, loss in enumerate(losses) if loss > target)\n"
            "    share = (losses[last] - target) / (losses[last] - losses[last + 1])\n"
            "    return characters[last] + share * (characters[last + 1] - characters[last])",
            "is too large",
        ),
    ],
    "12.5": [
        (  # the ratio of the means
            "    ratios = theirs / ours\n"
            "    half_width = t.ppf(0.975, len(ratios) - 1) * ratios.std(ddof=1) / len(ratios) ** 0.5\n"
            "    return ratios.mean() + half_width * np.array([0, -1, 1])",
            "a mean of 1",
        ),
        (  # a normal curve for three seeds
            "    logs = np.log(theirs) - np.log(ours)\n"
            "    half_width = 1.96 * logs.std(ddof=1) / len(logs) ** 0.5\n"
            "    return np.exp([logs.mean(), logs.mean() - half_width, logs.mean() + half_width])",
            "at 2 of 3 places",
        ),
    ],
}
