"""A term is explained where it is first used; the pages that are made from the notebooks say where."""

import json
import re
import tomllib

import pytest

from helpers import course, glossary

EXPLAINED = {found.term: found for found in glossary.explained()}


@pytest.mark.parametrize("term", EXPLAINED)
def test_a_term_is_not_used_before_it_is_explained(term):
    assert EXPLAINED[term].too_early is None, f"{term!r} is used in notebook and cell {EXPLAINED[term].too_early}"


def test_the_terms_that_readers_stumbled_over_are_in_the_list():
    for term in ("profile", "seed", "95 % interval", "FineWeb", "BigCode", "Welch's test", "Holm's correction", "AdamW",
                 "allocator", "Chinchilla law", "Fisher's exact test", "Zipf's law"):  # fmt: skip
        assert term in EXPLAINED


@pytest.fixture
def course_of(tmp_path, monkeypatch):
    """A course of notebooks with these markdown cells, and these terms."""

    def made(*notebooks, terms):
        names = []
        for number, texts in enumerate(notebooks):
            cells = [{"cell_type": "markdown", "source": [text]} for text in texts]
            (tmp_path / f"0{number}_x.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
            names.append(course.Notebook(f"0{number}_x", "X", "?"))
        monkeypatch.setenv("LAB_NOTEBOOKS", str(tmp_path))
        monkeypatch.setattr(course, "NOTEBOOKS", tuple(names))
        monkeypatch.setattr(glossary, "terms", lambda: {term: re.compile(term, re.I) for term in terms})
        return glossary.explained()

    return made


def test_a_use_in_an_earlier_notebook_is_found(course_of):
    (found,) = course_of(["A zipper first.", "Then a norm."], ["The *norm* is a length."], terms=["norm"])
    assert (found.too_early, found.sentence) == (("00", 1), "The *norm* is a length.")


@pytest.mark.parametrize(
    "text", ["`norm`", "[x](https://norm.org)", "# The norm", "You will learn\n- what a norm is", "**Next:** the norm"]
)
def test_code_addresses_and_outlines_use_no_term(course_of, text):
    (found,) = course_of([text, "The *norm* is a length of a row of numbers, and the root of the sum of its squares."],
                         terms=["norm"])  # fmt: skip
    assert found.too_early is None


def test_a_sentence_that_points_back_brings_the_one_before(course_of):
    text = (
        "One. The loss of other text rises (Ng et al. 2016) while its own falls.\nThat is **overfitting**, and we try "
        + ("many a remedy, one by one, in [01](01_x.ipynb). Two.")
    )
    (found,) = course_of([text], terms=["overfitting"])
    assert found.sentence.startswith("The loss of other text") and found.sentence.endswith(
        "in [01](notebooks/01_x.ipynb)."
    )


def test_a_term_that_nothing_explains_is_named(course_of):
    with pytest.raises(ValueError, match="'norm'"):
        course_of(["A norm."], terms=["norm"])


def test_every_title_belongs_to_an_address_that_a_notebook_names():
    titles, page = tomllib.loads(glossary.TITLES.read_text("utf-8")), glossary.references()
    assert [address for address in titles if f"]({address}) · " not in page] == []


def test_an_address_stands_once_with_all_who_name_it(course_of):
    course_of(
        ["[Ng 2016](https://doi.org/1) and [tool](https://t.org/a_(b))"], ["[again](https://doi.org/1)"], terms=[]
    )
    papers, others = glossary.references().split("## Documents")
    assert papers.endswith("- [Ng 2016](https://doi.org/1) · 00, 01\n\n") and "(https://t.org/a_(b)) · 00" in others
