"""Make one figure again and say whether it is the same: which notebook makes it, what that needs, and the verdict."""

from __future__ import annotations

from pathlib import Path

from labjournal import agreement, changes, project, store

from . import course, paths


def source(picture: str, profile: str) -> tuple[str, course.Notebook]:
    """(figure name, notebook that makes it) for a path such as images/03_loss.png.

    Raises:
        ValueError: no record of a run in this profile has such a figure; the message lists those there are.
    """
    name = Path(picture).stem
    made = {}
    for notebook in course.NOTEBOOKS:
        for record in (store.reference(notebook.name, profile), store.latest(notebook.name, profile)):
            made |= dict.fromkeys(record["figures"] if record else (), notebook)
    if name in made:
        return name, made[name]
    known = ", ".join(sorted(made)) or "none has run yet"
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
    """(whether it is the same or agrees, what to tell) about figure `name` of a finished run.

    Args:
        reference: the reference run as it was before this one.
    """
    if name not in record["figures"]:
        return False, f"{name}: this run did not make it"
    here = paths.shown(store.picture(record, name))
    if origin := record["figures"][name].get("from"):
        how = project.current().measured_by(store.find(origin)["notebook"])
        return False, f"{name}: drawn from record {origin}, not measured here; {how} measures it\nnow: {here}"
    if reference is None or name not in reference["figures"]:
        return False, f"{name}: nothing to compare with, no reference run has this figure\nnow: {here}"
    there = paths.shown(store.picture(reference, name))
    pictures = f"reference: {there}\nnow:       {here}"
    if record["figures"][name]["kind"] == "timing":
        return True, f"{name}: shows measured times, which belong to the machine and are not judged\n{pictures}"
    spread = store.spread(record["notebook"], record["profile"])
    found = agreement.agree(record, reference, spread)
    row = next(row for row in found["rows"] if row["name"] == name and row["what"] == "figure")
    said = [f"{name}: {row['verdict']}" + (f", {row['why']}" if row["why"] else "")]
    if found["why"]:
        said.append(f"because of {found['why']}")
    elif row["tolerance"] is not None:
        said.append(f"farthest value {row['difference']:.2f} sd from the mean of {found['seeds']} seeds, "
                    f"allowed {row['tolerance']:.2f} sd")  # fmt: skip
    if row["verdict"] != "identical" and found["since"]:
        said.append(f"since the reference: {changes.describe(found['since'])}")
    return row["verdict"] in ("identical", "agrees"), "\n".join([*said, pictures])
