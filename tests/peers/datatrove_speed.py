"""Runs in datatrove's own environment: seconds that its filters and its MinHash take for the texts of a file."""

import json
import sys
import tempfile
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

quality, repetition = GopherQualityFilter(), GopherRepetitionFilter()
minhash = MinhashDedupSignature(tempfile.mkdtemp(dir=Path(sys.argv[1]).parent))


def filters(text):
    # Both, whatever the first says: that is what scoring is.
    quality.filter(Document(text=text, id="0"))
    repetition.filter(Document(text=text, id="0"))


def signature(text):
    shingles = minhash.get_shingles(text)
    if len(shingles):
        minhash.get_signature(shingles)


with open(sys.argv[1]) as file:
    texts = json.load(file)
seconds = {}
for name, work in (("filters", filters), ("minhash", signature)):
    work("warm up. " * 100)
    began = time.perf_counter()
    for text in texts:
        work(text)
    seconds[name] = time.perf_counter() - began
print(json.dumps(seconds))
