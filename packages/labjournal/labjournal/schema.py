"""The shape of what the journal reads from its files: checked once, at the door, so that nobody further in has to."""

from __future__ import annotations

from functools import cache

_TEXT, _NUMBER, _COUNT, _FLAG = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
_DICT, _LIST = {"type": "object"}, {"type": "array"}
_VALUE: dict = {}  # whatever JSON has


def _maybe(shape: dict) -> dict:
    return {"type": [shape["type"], "null"]}


def _object(required: dict[str, dict], **optional: dict) -> dict:
    return {"type": "object", "required": list(required), "properties": required | optional}


def _named(shape: dict) -> dict:
    return {"type": "object", "additionalProperties": shape}


METRIC = _object(
    {"start": _VALUE, "best": _VALUE, "best_step": _VALUE, "final": _VALUE, "unit": _TEXT, "better": _maybe(_TEXT),
     "kind": {"enum": ["result", "timing"]}, "count": _COUNT},
)  # fmt: skip
PREDICTION = _object({"predicted": _NUMBER, "measured": _VALUE, "unit": _TEXT, "kind": _TEXT})
FIGURE = _object({"alt": _TEXT, "kind": {"enum": ["result", "timing"]}}, png=_TEXT, data=_TEXT, **{"from": _TEXT})
AGREEMENT = _object(
    {"reference": _TEXT, "verdict": _TEXT, "why": _TEXT, "agree": _COUNT, "of": _COUNT, "since": _DICT,
     "rows": {"type": "array", "items": _object({"name": _TEXT, "what": _TEXT, "verdict": _TEXT}, why=_TEXT)}},
)  # fmt: skip
RESOURCES = _object({}, processor=_maybe(_DICT), probe=_maybe(_DICT), process=_maybe(_DICT))
STATUSES = ("running", "finished", "failed", "interrupted", "abandoned", "superseded")
RECORD = _object(
    {"format": _COUNT, "run_id": _TEXT, "notebook": _TEXT, "title": _TEXT, "question": _TEXT, "profile": _TEXT,
     "status": {"enum": list(STATUSES)}, "started": _TEXT, "seconds": _maybe(_NUMBER), "seed": _maybe(_COUNT),
     "config": _DICT, "config_hash": _TEXT, "data_hash": _maybe(_TEXT), "code_hash": _TEXT, "commit": _maybe(_TEXT),
     "dirty": _maybe(_FLAG), "changed_files": _LIST, "device": _TEXT, "numerics": _TEXT, "threads": _maybe(_COUNT),
     "resources": RESOURCES, "versions": _DICT, "predictions": _named(PREDICTION), "metrics": _named(METRIC),
     "figures": _named(FIGURE), "notes": {"type": "array", "items": _TEXT}, "verdict": _TEXT, "decision": _TEXT,
     "changed_from": _maybe(_TEXT), "reason": _maybe(_TEXT), "resumed_from": _maybe(_TEXT), "error": _maybe(_DICT)},
    trainings=_LIST, agreement=AGREEMENT, headline=_LIST, tables=_DICT, changed=_DICT, guesses=_DICT,
)  # fmt: skip
EVENT = _object({"seconds": _NUMBER, "event": _TEXT}, training=_COUNT, metrics=_DICT)
STEP = _object({"training": _COUNT, "step": _COUNT, "loss": _VALUE, "took": _NUMBER, "values": _DICT})
SAMPLE, PACKED = _object({"values": _DICT}), _object({"series": _TEXT})
_NUMBERS = {"type": "array", "minItems": 2}
SPREAD = _object(
    {"notebook": _TEXT, "profile": _TEXT, "config_hash": _TEXT, "data_hash": _maybe(_TEXT), "seeds": _NUMBERS,
     "metrics": _named(_NUMBERS), "figures": _named(_object({"mean": _LIST, "sd": _LIST}))},
    rounding=_object({"metrics": _DICT, "figures": _named(_DICT)}),
)  # fmt: skip
TEXTS = _named(_TEXT)  # reference.json, pages.json
SHAPES = {"record": RECORD, "event": EVENT, "step": STEP, "sample": SAMPLE, "packed": PACKED, "spread": SPREAD,
          "texts": TEXTS}  # fmt: skip


@cache
def _compiled(shape: str):
    import fastjsonschema

    return fastjsonschema.compile(SHAPES[shape], use_default=False)


def check(shape: str, found: object) -> None:
    """Raises ValueError: what is not as one of SHAPES has it, and where in it."""
    _compiled(shape)(found)


def check_event(event: object) -> None:
    """Raises ValueError: what is not as an event of its kind has it."""
    check("event", event)
    if event["event"] in ("step", "sample", "packed"):
        check(event["event"], event)
