"""Wrong answers to the exercises of notebook 15, and what the check has to say of them."""

WRONG = {
    "15.1": [
        # The new token does not look at itself.
        (
            "    weights = (k @ q / math.sqrt(len(q))).softmax(dim=0)\n"
            "    return weights @ v, torch.cat([k, k_new[None]]), torch.cat([v, v_new[None]])",
            "off both ways",
        ),
        # Not scaled.
        (
            "    k, v = torch.cat([k, k_new[None]]), torch.cat([v, v_new[None]])\n"
            "    return (k @ q).softmax(dim=0) @ v, k, v",
            "off both ways",
        ),
    ],
    "15.2": [
        # The last position alone.
        (
            "    by_position = losses.mean(dim=0)\n    return float(by_position[0] - by_position[-1])",
            "is too large",
        ),
        # The other way round.
        (
            "    by_position = losses.mean(dim=0)\n"
            "    return float(by_position[-(len(by_position) // 4):].mean() - by_position[0])",
            "is too small",
        ),
    ],
    "15.3": [
        # Keys, and no values.
        ("    return n_layer * n_embd * tokens * bytes_per_number", "is too small"),
        # Every token keeps weights for every other.
        ("    return 2 * n_layer * n_embd * tokens**2 * bytes_per_number", "is too large"),
    ],
}
