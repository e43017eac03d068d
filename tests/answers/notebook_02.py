"""Wrong answers to the exercises of notebook 02, and what the check has to say of them."""

WRONG = {
    "02.1": [
        (  # the second id of a pair is kept, the last id lost
            """\
    out = []
    for i in range(len(ids) - 1):
        out.append(new if (ids[i], ids[i + 1]) == pair else ids[i])
    return out
""",
            "has shape (4,), and (3,) is wanted",
        ),
        (  # looks behind the end
            """\
    out, i = [], 0
    while i < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out
""",
            "with IndexError: list index out of range",
        ),
    ],
    "02.2": [
        (  # a word counts once
            """\
    counts = Counter(pair for ids in words for pair in pairwise(ids))
    return min(counts, key=lambda pair: (-counts[pair], pair))
""",
            "is too large, by up to a half, at 2 of 2 places",
        ),
        (  # among equals, whichever came first
            """\
    counts = Counter()
    for ids, times in words.items():
        for pair in pairwise(ids):
            counts[pair] += times
    return max(counts, key=counts.get)
""",
            "is too large, by more than half, at 2 of 2 places",
        ),
        (  # repeats what it could multiply
            """\
    counts = Counter()
    for ids, times in words.items():
        for _ in range(times):
            for pair in pairwise(ids):
                counts[pair] += 1
    return min(counts, key=lambda pair: (-counts[pair], pair))
""",
            "s where 0.1 s are allowed",
        ),
    ],
    "02.3": [
        (  # threes from the left
            r"""
    return re.findall(r" ?[^\W\d_]+|[0-9]{1,3}|.", text, re.DOTALL)
""",
            "first goes wrong at place 0, where it has '123'",
        ),
        (  # a dot is any character but the end of a line, which is lost
            r"""
    threes = r"[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))"
    return re.findall(rf" ?[^\W\d_]+|{threes}|.", text)
""",
            "which is too few",
        ),
    ],
    "02.4": [
        (  # each token by itself
            """\
    return [tokenizer.decode([i]) for i in ids]
""",
            "where it has '\N{REPLACEMENT CHARACTER}'",
        ),
        (  # what is not whole is thrown away instead of kept
            """\
    return [tokenizer.decode([i], errors="ignore") for i in ids]
""",
            "where it has ''",
        ),
    ],
    "02.5": [
        (  # characters, not ids
            """\
    return text.startswith(prompt)
""",
            "is True, which it should not be on 'To t', 'To the point'",
        ),
        (  # as many ids as the prompt has characters
            """\
    return tokenizer.encode_text(text)[: len(prompt)] == tokenizer.encode_text(prompt)
""",
            "is False, which it should not be",
        ),
    ],
}
