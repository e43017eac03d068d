"""Runs in datatrove's own environment: [{"id", "text"}] from a file -> {"version", {id: {filter: reason or ""}}}."""

import json
import sys
from importlib.metadata import version

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

FILTERS = {
    "c4": C4QualityFilter(),
    "gopher_quality": GopherQualityFilter(),
    "gopher_repetition": GopherRepetitionFilter(),
    "fineweb": FineWebQualityFilter(),
}

with open(sys.argv[1]) as file:
    documents = json.load(file)
decisions = {}
for document in documents:
    answers = {name: f.filter(Document(text=document["text"], id=document["id"])) for name, f in FILTERS.items()}
    decisions[document["id"]] = {name: "" if answer is True else answer[1] for name, answer in answers.items()}
print(json.dumps({"version": version("datatrove"), "decisions": decisions}))
