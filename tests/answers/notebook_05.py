"""Wrong answers to the exercises of notebook 05, and what the check has to say of them."""

WRONG = {
    "05.1": [
        (  # the textbook's: exp overflows
            "    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)\n"
            "    return -np.log(q[np.arange(len(labels)), labels]).mean()",
            "no finite numbers on an array of (3, 2)",
        ),
        (  # one maximum for the whole batch: other rows become all zeros
            "    z = logits - logits.max()\n"
            "    log_q = z - np.log(np.exp(z).sum(axis=1, keepdims=True))\n"
            "    return -log_q[np.arange(len(labels)), labels].mean()",
            "no finite numbers on an array of (3, 2)",
        ),
        (  # summed over the batch
            "    z = logits - logits.max(axis=1, keepdims=True)\n"
            "    log_q = z - np.log(np.exp(z).sum(axis=1, keepdims=True))\n"
            "    return -log_q[np.arange(len(labels)), labels].sum()",
            "is too large, by more than half on an array of (2, 2)",
        ),
    ],
    "05.2": [
        (  # gradients add up over the steps
            "    loss = torch.nn.functional.cross_entropy(logits.float(), labels)\n"
            "    loss.backward()\n"
            "    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            "    optimizer.step()\n"
            "    return loss.item(), norm.item()",
            "on 4.",
        ),
        (  # clipped when the weights have moved already
            "    loss = torch.nn.functional.cross_entropy(logits.float(), labels)\n"
            "    loss.backward()\n"
            "    optimizer.step()\n"
            "    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            "    optimizer.zero_grad()\n"
            "    return loss.item(), norm.item()",
            "on 4.",
        ),
        (  # the gradients are cleared before they are used
            "    loss = torch.nn.functional.cross_entropy(logits.float(), labels)\n"
            "    loss.backward()\n"
            "    optimizer.zero_grad()\n"
            "    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
            "    optimizer.step()\n"
            "    return loss.item(), norm.item()",
            "at 1 of 2 places on 1.",
        ),
    ],
    "05.3": [
        (  # the lowest of all, as if the training had gone on
            "    return [int(np.argmin(losses)), len(losses) - 1]",
            "is too large, by more than half, at 2 of 2 places on (0.7, 0.6, 0.65",
        ),
        (  # counts the bad evaluations, and never anew
            "    best, bad = 0, 0\n"
            "    for now, loss in enumerate(losses):\n"
            "        if loss < losses[best]:\n"
            "            best = now\n"
            "        elif now:\n"
            "            bad += 1\n"
            "        if bad == patience:\n"
            "            break\n"
            "    return [best, now]",
            "is too small, by up to a half, at 1 of 2 places on (0.7, 0.6, 0.65",
        ),
        (  # an equal loss counts as an improvement
            "    best = 0\n"
            "    for now, loss in enumerate(losses):\n"
            "        if loss <= losses[best]:\n"
            "            best = now\n"
            "        if now - best == patience:\n"
            "            break\n"
            "    return [best, now]",
            "on (0.6, 0.6, 0.6, 0.5)",
        ),
    ],
    "05.4": [
        (  # one side only
            "    n, fewer = first_only + second_only, min(first_only, second_only)\n"
            "    return sum(comb(n, k) for k in range(fewer + 1)) / 2**n",
            "is too small, by up to a half on 0, 6",
        ),
        (  # twice the end, also where the two ends overlap
            "    n, fewer = first_only + second_only, min(first_only, second_only)\n"
            "    return 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n",
            "is too large, by up to a half on 3, 3",
        ),
        (  # the chance of just this split
            "    n = first_only + second_only\n    return min(1.0, 2 * comb(n, first_only) / 2**n)",
            "is too small",
        ),
    ],
    "05.5": [
        (  # other words
            '    return ["A wonderful film, funny and moving.", "A terrible film, dull and empty."]',
            "is too large",
        ),
        (  # one sentence, twice
            '    return ["I expected a nap.", "I expected a nap."]',
            "is too small",
        ),
    ],
}
