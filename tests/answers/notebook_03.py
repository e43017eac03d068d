"""Wrong answers to the exercises of notebook 03, and what the check has to say of them."""

WRONG = {
    "03.1": [
        # The first step does nothing, and the peak comes a step late.
        (
            "    if step < warmup:\n        return peak * step / warmup\n"
            "    return peak * (steps - step) / (steps - warmup)",
            "is too small",
        ),
        # Down to zero over all steps, as if there were no warm-up.
        ("    return peak * (steps - step) / steps", "is too large"),
    ],
    "03.2": [
        # The whole text goes in, however long it is.
        (
            "    for _ in range(count):\n"
            "        with torch.no_grad():\n"
            "            logits = model(torch.tensor([ids], device=machine.device))[0]\n"
            "        ids = [*ids, int(logits[0, -1].argmax())]\n"
            "        if ids[-1] == stop:\n"
            "            break\n"
            "    return ids",
            "stops on",
        ),
        # It never stops.
        (
            "    for _ in range(count):\n"
            "        window = torch.tensor([ids[-model.config.block_size:]], device=machine.device)\n"
            "        with torch.no_grad():\n"
            "            ids = [*ids, int(model(window)[0][0, -1].argmax())]\n"
            "    return ids",
            "is wanted",
        ),
    ],
    "03.3": [
        # It looks ahead.
        ("    return (q @ k.T / math.sqrt(q.shape[1])).softmax(dim=1)", "off both ways"),
        # The mask comes after the softmax, so rows no longer add up to one.
        (
            "    weights = (q @ k.T / math.sqrt(q.shape[1])).softmax(dim=1)\n    return weights.tril()",
            "is too small",
        ),
        # Not scaled.
        (
            "    later = torch.ones(len(q), len(q)).triu(1).bool()\n"
            "    return (q @ k.T).masked_fill(later, -math.inf).softmax(dim=1)",
            "off both ways",
        ),
    ],
    "03.4": [
        # Nats taken for bits.
        ("    return loss * tokens / size", "is too small"),
        # Per token instead of per byte.
        ("    return loss / math.log(2)", "is too large"),
    ],
}
