"""What differs between two runs: computed from their records, and said in words. The reason is for people to give."""

from __future__ import annotations

from .processor import short_name

_OF_RUN = ("profile", "seed", "data_hash", "device", "numerics", "threads")


def between(old: dict, new: dict) -> dict[str, list]:
    """name -> [old value, new value]: config, seed, profile, data, processor, the machine's numerics, versions, code.

    "code" has the files that differ in its second place: the notebook's cells, and helpers that both runs used.
    """
    of_run = {name.removesuffix("_hash"): [old[name], new[name]] for name in _OF_RUN}
    if not same_processor(old, new):
        of_run["processor"] = [processor(old), processor(new)]
    for name in {**old["versions"], **new["versions"]}:
        of_run[name] = [old["versions"].get(name), new["versions"].get(name)]
    pairs = {}
    for name in {**old["config"], **new["config"]}:  # a config may have its own "seed" or "threads"
        taken = name in of_run or name in ("code", "processor")
        pairs[f"config.{name}" if taken else name] = [old["config"].get(name), new["config"].get(name)]
    pairs |= of_run
    found = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    files = code(old, new)
    return {**found, "code": [None, ", ".join(files)]} if files else found


def code(old: dict, new: dict) -> list[str]:
    """The files whose code differs: the notebook, and those of the helpers that both used."""
    if "helpers" not in old or "helpers" not in new:  # a record of format 1 has one hash for all
        return [] if old["code_hash"] == new["code_hash"] else ["code, not known which"]
    # The journal writes results down and makes none.
    shared = sorted(n for n in old["helpers"].keys() & new["helpers"].keys() if "journal/" not in n)
    changed = [name for name in shared if old["helpers"][name] != new["helpers"][name]]
    return (["notebook cells"] if old["cells_hash"] != new["cells_hash"] else []) + changed


def recipe(old: dict, new: dict) -> list[str]:
    """What a run cannot change without somebody having meant it, and that differs between two runs."""
    seed = ["seed"] if old["seed"] != new["seed"] else []
    return [name for name in ("config", "data", "cells") if old.get(f"{name}_hash") != new.get(f"{name}_hash")] + seed


def processor(record: dict) -> str:
    """What a run computed on, as in "AMD EPYC with AVX-512 and bfloat16 units (model 25 17 1)"."""
    known, probe = record["resources"].get("processor"), record["resources"].get("probe")
    if known:
        with_ = f" with {' and '.join(known['instructions'][-2:])}" if known["instructions"] else ""
        return f"{known['name']}{with_}" + (f" (model {known['model']})" if known["model"] else "")
    if not probe:  # a record from before the processor was written down
        return "one that was not recorded"
    units = " with bfloat16 units" if record["numerics"] == "bfloat16" and record["device"] == "cpu" else ""
    return short_name(probe["device_name"]) + units


def same_processor(old: dict, new: dict) -> bool:
    """An older record knows the name alone, and whether there are bfloat16 units: they decide the number format."""
    both = [record["resources"].get("processor") for record in (old, new)]
    if all(both):
        return both[0] == both[1]
    names = [known["name"] if known else processor(record).partition(" with ")[0]
             for known, record in zip(both, (old, new), strict=True)]  # fmt: skip
    return names[0] == names[1] and old["numerics"] == new["numerics"]


def of(record: dict) -> str:
    """What a run changed, in one line; up to format 3 somebody had typed it."""
    return (describe(record["changed"]) if "changed" in record else record.get("change")) or "nothing"


def describe(found: dict[str, list], files: int = 4) -> str:
    """The differences in one line, with the first `files` of the code's."""
    return ", ".join(_say(name, old, new, files) for name, (old, new) in found.items())


def _say(name: str, old, new, files: int) -> str:
    if name == "processor":
        return f"another processor: {new}, not {old}"
    if name == "code":
        names = str(new).split(", ")
        return f"code ({', '.join(names[:files])}{f' and {len(names) - files} more files' if names[files:] else ''})"
    if old is None or new is None:
        return f"{name} {new} (not recorded before)" if old is None else f"{name} {old} (not recorded any more)"
    return f"{name} {old} → {new}"
