"""Wrong answers to the exercises of notebook 01, and what the check has to say of them."""

WRONG = {
    "01.1": [
        (  # the whole text is searched, and every line, comment or not
            "    for line in document.text.splitlines():\n"
            "        if any(mark in line.lower() for mark in MARKS):\n"
            '            return mrclean.Drop("generated", line)\n'
            "    return mrclean.Keep(document)",
            "is a Drop, and a Keep is wanted on Document(id='no comment'",
        ),
        (  # the evidence is not the line but its lower case
            "    for line in document.text.lower().splitlines()[:5]:\n"
            '        if line.startswith("#") and any(mark in line for mark in MARKS):\n'
            '            return mrclean.Drop("generated", line)\n'
            "    return mrclean.Keep(document)",
            "which it should not be on Document(id='",
        ),
        (  # the mark is looked for as it is written
            "    for line in document.text.splitlines()[:5]:\n"
            '        if line.startswith("#") and any(mark in line for mark in MARKS):\n'
            '            return mrclean.Drop("generated", line)\n'
            "    return mrclean.Keep(document)",
            "on Document(id='",
        ),
    ],
    "01.2": [
        (  # the naive pattern, unchecked
            '    return re.sub(pattern, "<IP_ADDRESS>", text)',
            "on 'Upgrade to 4.18.0.3051.'",
        ),
        (  # checked, but the row may begin earlier or go on
            "    def placeholder(match):\n"
            "        try:\n"
            "            public = ipaddress.ip_address(match[0]).is_global\n"
            "        except ValueError:\n"
            "            public = False\n"
            '        return "<IP_ADDRESS>" if public else match[0]\n'
            "\n"
            '    return re.sub(r"\\b\\d+(?:\\.\\d+){3}\\b", placeholder, text)',
            "on 'The object 1.3.6.1.4.1.311 is registered.'",
        ),
        (  # what is no address is not expected
            "    def placeholder(match):\n"
            "        public = ipaddress.ip_address(match[0]).is_global\n"
            '        return "<IP_ADDRESS>" if public else match[0]\n'
            "\n"
            '    return re.sub(r"(?<![\\w.])\\d+(?:\\.\\d+){3}(?!\\.?\\w)", placeholder, text)',
            "with ValueError",
        ),
    ],
    "01.3": [
        (  # one numbering for all places
            "    def signature(shingles):\n"
            "        return [min(number(s, 0) for s in shingles) for i in range(places)]\n"
            "\n"
            "    return sum(x == y for x, y in zip(signature(a), signature(b))) / places",
            "by more than half",
        ),
        (  # the containment
            "    return len(a & b) / min(len(a), len(b))",
            "is too large",
        ),
        (  # agreements are counted and not divided by the places
            "    def signature(shingles):\n"
            "        return [min(number(s, i) for s in shingles) for i in range(places)]\n"
            "\n"
            "    return sum(x == y for x, y in zip(signature(a), signature(b)))",
            "is too large, by more than half",
        ),
    ],
    "01.4": [
        (  # the first of equal lines counts as well
            '    lines = text.split("\\n")\n'
            "    repeated = sum(len(line) for line in lines if lines.count(line) > 1)\n"
            '    return repeated / max(1, len(text.replace("\\n", "")))',
            "is too large",
        ),
        (  # an empty text is forgotten
            "    seen, repeated, total = set(), 0, 0\n"
            '    for line in text.split("\\n"):\n'
            "        repeated += len(line) if line in seen else 0\n"
            "        total += len(line)\n"
            "        seen.add(line)\n"
            "    return repeated / total",
            "with ZeroDivisionError",
        ),
        (  # lines are counted, not characters
            '    lines = [line for line in text.split("\\n") if line]\n'
            "    return 1 - len(set(lines)) / len(lines) if lines else 0.0",
            "is too large",
        ),
    ],
    "01.5": [
        (  # one pass over the pairs
            "    inside = set(val)\n"
            "    for a, b in pairs:\n"
            "        if a in inside or b in inside:\n"
            "            inside |= {a, b}\n"
            "    return sorted(inside)",
            "has shape (2,), and (4,) is wanted on",
        ),
        (  # only the neighbours of those that were there
            "    linked = {i for a, b in pairs if a in val or b in val for i in (a, b)}\n"
            "    return sorted(linked | set(val))",
            "has shape (2,), and (4,) is wanted on",
        ),
    ],
}
