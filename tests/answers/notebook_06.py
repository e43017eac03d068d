"""Wrong answers to the exercises of notebook 06, and what the check has to say of them."""

WRONG = {
    "06.1": [
        # every test at the smallest level, which is Bonferroni's
        ("    return [bool(p <= 0.05 / len(p_values)) for p in p_values]", "first goes wrong at place 2"),
        # goes on after the first failure
        (
            "    m, order = len(p_values), list(np.argsort(p_values))\n"
            "    return [bool(p_values[i] <= 0.05 / (m - order.index(i))) for i in range(m)]",
            "first goes wrong at place 1",
        ),
        # no correction
        ("    return [bool(p <= 0.05) for p in p_values]", "where it has True"),
    ],
    "06.2": [
        # a price below zero, where B is better and cheaper
        (
            "    return (cost_b - cost_a) / (error_a - error_b) if error_b < error_a else np.inf",
            "is too small, by more than half on 2.0, 1.0, 0.2, 0.1",
        ),
        # pays for being worse
        (
            "    return max(0.0, cost_b - cost_a) / abs(error_a - error_b)",
            "differs where no finite number is wanted",
        ),
    ],
    "06.3": [
        # forgets how frequent praise is
        (
            "    logs = [np.log((counts[labels == s].sum(axis=0) + 1) /\n"
            "                   (counts[labels == s].sum() + counts.shape[1])) for s in (0, 1)]\n"
            "    return new @ (logs[1] - logs[0])",
            "is too small, by up to a half",
        ),
        # adds one above the line alone
        (
            "    logs = [np.log((counts[labels == s].sum(axis=0) + 1) / counts[labels == s].sum()) for s in (0, 1)]\n"
            "    return np.log(labels.mean() / (1 - labels.mean())) + new @ (logs[1] - logs[0])",
            "is too small, by more than half",
        ),
    ],
    "06.4": [
        # above the threshold instead of from it on
        (
            "    praise = p > t\n"
            "    wrong = alarm * np.sum(praise & (y == 0)) + miss * np.sum(~praise & (y == 1))\n"
            "    return wrong / len(y), alarm / (alarm + miss)",
            "is too small, a little, at 1 of 2 places",
        ),
        # the threshold of the other story
        (
            "    praise = p >= t\n"
            "    wrong = alarm * np.sum(praise & (y == 0)) + miss * np.sum(~praise & (y == 1))\n"
            "    return wrong / len(y), miss / (alarm + miss)",
            "at 1 of 2 places",
        ),
    ],
}
