"""Make one figure again: which notebook makes it, what that needs, the verdict, and both runs in one picture."""

from __future__ import annotations

import difflib
from pathlib import Path

from labjournal import agreement, changes, pictures, project, store

from . import course, paths


def source(picture: str, profile: str) -> tuple[str, course.Notebook]:
    """(figure name, notebook that makes it) for a path such as images/03_loss.png.

    Raises:
        ValueError: no record of a run in this profile has such a figure; the message lists those with a name like it,
            or says which benchmark makes it.
    """
    name = Path(picture).stem
    made = {}
    for notebook in course.NOTEBOOKS:
        for record in (store.reference(notebook.name, profile), store.latest(notebook.name, profile)):
            made |= dict.fromkeys(record["figures"] if record else (), notebook)
    if name in made:
        return name, made[name]
    for record in reversed(store.all_records(project.committed())):
        if name in record["figures"] and (how := project.current().measured_by(record["notebook"])):
            raise ValueError(f"no notebook makes {name!r}, but a benchmark: `{how}` measures it")
    known = ", ".join(difflib.get_close_matches(name, made) or sorted(made)) or "none has run yet"
    raise ValueError(f"no notebook makes a figure {name!r} in the {profile} profile; there are: {known}")


def chain(notebook: course.Notebook) -> list[course.Notebook]:
    """The notebook and everything it needs, in order."""
    wanted, todo = set(), [notebook.name]
    while todo:
        name = todo.pop()
        wanted.add(name)
        todo += course.notebook(name).needs
    return [entry for entry in course.NOTEBOOKS if entry.name in wanted]


def verdict(name: str, record: dict, reference: dict | None) -> tuple[bool, str]:
    """(whether it is the same or agrees, a sentence that says so) about figure `name` of a finished run.

    Args:
        reference: the reference run as it was before this one.
    """
    if name not in record["figures"]:
        return False, "this run did not make it"
    if origin := record["figures"][name].get("from"):
        how = project.current().measured_by(store.find(origin)["notebook"])
        return False, f"not measured here: from record {origin}" + (f", `{how}` measures it" if how else "")
    if reference is None or name not in reference["figures"]:
        return False, "nothing to compare with: no reference run has this figure"
    if record["figures"][name]["kind"] == "timing":
        return True, "measured times, which belong to the machine and are not judged"
    found = agreement.agree(record, reference, store.spread(record["notebook"], record["profile"]))
    row = next(row for row in found["rows"] if row["name"] == name and row["what"] == "figure")
    good, why = row["verdict"] in store.GOOD, found["why"] or row["why"]
    if row["verdict"] == "identical":
        return True, "identical: every value is the reference's"
    if why.startswith("the same to"):
        return True, why
    if row["tolerance"] is not None:
        how, far = "no farther" if good else "farther", row["unit"].partition(", ")[2]
        seeds = f"from the mean of {found['seeds']} seeds, {row['tolerance']:.2f} allowed"
        said = f"it lies {how} off than another seed would ({far} {row['difference']:.2f} standard deviations {seeds})"
        why = f"{said}; {why}" if why else said
    since = f"\nsince the reference: {changes.describe(found['since'])}" if found["since"] else ""
    return good, f"{row['verdict']}: {why or 'but for rounding, every value is what it was'}{since}"


def both(name: str, record: dict, reference: dict | None, place: Path) -> Path:
    """Draw figure `name` of the two runs into one picture at `place`; without a reference's, it is this run's."""
    runs = [run for run in (reference, record) if run and name in run["figures"]]
    drawn = [store.picture(run, name).read_bytes() for run in runs]
    if len(runs) == 2:
        drawn = [pictures.png(pictures.both(*(agreement.arrays(run, name) for run in runs), drawn))]
    paths.write_atomic(place, drawn[0])
    return place
