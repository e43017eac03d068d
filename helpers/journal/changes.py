"""What differs between two runs, and whether that is what somebody said they changed."""

from __future__ import annotations

import re

from .record import JournalError

_CLAIM = re.compile(r"([\w.]+)(?:\s*[:=]\s*|\s+)(\S+?)\s*(?:→|(?<!-)->)\s*([^\s,;)]*[^\s,;).])")

_OF_RUN = ("profile", "seed", "data_hash", "device", "numerics", "threads")


def between(old: dict, new: dict) -> dict[str, list]:
    """name -> [old value, new value]: config, seed, profile, data, code and the machine's numerics.

    "code" has the files that differ in its second place: the notebook's cells, and helpers that both runs used.
    """
    of_run = {name.removesuffix("_hash"): [old[name], new[name]] for name in _OF_RUN}
    for name in {**old["versions"], **new["versions"]}:
        of_run[name] = [old["versions"].get(name), new["versions"].get(name)]
    pairs = {}
    for name in {**old["config"], **new["config"]}:  # a config may have its own "seed" or "threads"
        pairs[f"config.{name}" if name in of_run else name] = [old["config"].get(name), new["config"].get(name)]
    pairs |= of_run
    found = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    files = code(old, new)
    return {**found, "code": [None, ", ".join(files)]} if files else found


def code(old: dict, new: dict) -> list[str]:
    """The files whose code differs: the notebook, and those of the helpers that both used."""
    if "helpers" not in old or "helpers" not in new:  # a record of format 1 has one hash for all
        return [] if old["code_hash"] == new["code_hash"] else ["code, not known which"]
    shared = sorted(old["helpers"].keys() & new["helpers"].keys())
    changed = [name for name in shared if old["helpers"][name] != new["helpers"][name]]
    return (["notebook cells"] if old["cells_hash"] != new["cells_hash"] else []) + changed


def check(change: str, found: dict[str, list], former: str) -> None:
    """Hold the words against the facts.

    "learning_rate 2e-5 → 1e-5" must be a difference with these values; a change in other words must at least name one
    thing that differs (a config name, seed, data, code …).

    Raises:
        JournalError: what was said is not what differs.
    """
    said = f"change={change!r}, but since run {former} "
    differs = f"what differs is: {describe(found) or 'nothing'}"
    claims = _CLAIM.findall(change)
    for name, old, new in claims:
        key = next((k for k in found if _means(name, k)), None)
        if key is None:
            raise JournalError(f"{said}{name} did not change; {differs}")
        if not (_same(old, found[key][0]) and _same(new, found[key][1])):
            raise JournalError(f"{said}{key} went from {found[key][0]} to {found[key][1]}")
    if not any(_speaks_of(change, key) for key in found):
        raise JournalError(f"{said}nothing it names differs; {differs}. Say it as in 'learning_rate 2e-5 → 1e-5'")


def describe(found: dict[str, list]) -> str:
    """The differences in one line."""
    return ", ".join(_say(name, old, new) for name, (old, new) in found.items())


def _say(name: str, old, new) -> str:
    if name == "code":
        return f"code ({new})"
    if old is None or new is None:
        return f"{name} {new} (not recorded before)" if old is None else f"{name} {old} (not recorded any more)"
    return f"{name} {old} → {new}"


def unsaid(change: str, found: dict[str, list]) -> dict[str, list]:
    """The differences that `change` does not speak of."""
    return {key: pair for key, pair in found.items() if not _speaks_of(change, key)}


def _speaks_of(change: str, key: str) -> bool:
    """Whether a change names a key: in "key old → new", or, where it has no arrow, anywhere in its words."""
    claims = _CLAIM.findall(change)
    if claims:
        return any(_means(name, key) for name, _, _ in claims)
    words = re.findall(r"[^\W_]+", change.casefold())
    return f" {key.replace('_', ' ').casefold()} " in f" {' '.join(words)} " or any(_means(word, key) for word in words)


def _means(name: str, key: str) -> bool:
    """A name means a key when it is it, or its initials: lr means learning_rate."""
    name, parts = name.casefold(), key.casefold().split("_")
    return name == key.casefold() or (len(parts) > 1 and name == "".join(part[:1] for part in parts))


def _same(said: str, value) -> bool:
    try:
        return float(said) == float(value)
    except (TypeError, ValueError):
        return said.casefold() == str(value).casefold()
