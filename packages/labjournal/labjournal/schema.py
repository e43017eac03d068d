"""The shape of what the journal reads from its files: checked once, at the door, so that nobody further in has to."""

from __future__ import annotations

from functools import cache

_FINITE = {"minimum": -1e300, "maximum": 1e300}  # as `store.plain` writes them: what is beyond is text
_TEXT, _FLAG = {"type": "string"}, {"type": "boolean"}
_NUMBER, _COUNT = {"type": "number"} | _FINITE, {"type": "integer"} | _FINITE
_SECONDS = {"type": "number", "minimum": 0, "maximum": 1e12}
_MANY, _SOME = {"type": "integer", "minimum": 0, "maximum": 1e15}, {"type": "integer", "minimum": 1, "maximum": 1e15}
_DICT, _LIST = {"type": "object"}, {"type": "array"}
_TEXTS = {"type": "array", "items": _TEXT}
_TWO = {"type": "array", "minItems": 2, "maxItems": 2}


def _maybe(shape: dict) -> dict:
    return {**shape, "type": [shape["type"], "null"]}


def _object(required: dict[str, dict], **optional: dict) -> dict:
    return {"type": "object", "required": list(required), "properties": required | optional}


def _named(shape: dict) -> dict:
    return {"type": "object", "additionalProperties": shape}


_LOGGED = {"type": ["number", "string", "boolean", "null"]} | _FINITE
_SAID = {"type": ["number", "string"]} | _FINITE  # a number, or the text that stands for NaN and infinity
METRIC = _object(
    {"start": _LOGGED, "best": _LOGGED, "best_step": _LOGGED, "final": _LOGGED, "unit": _TEXT, "better": _maybe(_TEXT),
     "kind": {"enum": ["result", "timing"]}, "count": _COUNT},
    items=_maybe(_TEXT), file=_maybe(_TEXT),
)  # fmt: skip
PREDICTION = _object({"predicted": _NUMBER, "measured": _LOGGED, "unit": _TEXT, "kind": _TEXT})
FIGURE = _object({"alt": _TEXT, "kind": {"enum": ["result", "timing"]}}, png=_TEXT, data=_TEXT, **{"from": _TEXT})
_NUMBER_OR_TEXT = {"type": ["number", "string", "null"]} | _FINITE  # NaN and infinity are text
AGREEMENT = _object(
    {"reference": _TEXT, "verdict": {"enum": ["identical", "agrees", "differs", "cannot compare", "times only"]},
     "why": _TEXT, "agree": _COUNT, "of": _COUNT, "since": _named(_TWO),
     "rows": {"type": "array", "items": _object(
         {"name": _TEXT, "what": _TEXT, "verdict": _TEXT}, why=_TEXT, reference=_LOGGED, now=_LOGGED,
         **dict.fromkeys(("difference", "mean", "tolerance"), _NUMBER_OR_TEXT))}},
)  # fmt: skip
_PAIR = {"type": ["array", "null"], "minItems": 2, "maxItems": 2, "items": _NUMBER}
REPORTED = _object(
    {"name": _TEXT, "unit": _TEXT, "start": _NUMBER_OR_TEXT, "now": _NUMBER_OR_TEXT, "predicted": _NUMBER_OR_TEXT},
    best=_NUMBER_OR_TEXT, best_step=_maybe(_COUNT),  # the earliest runs have none
)  # fmt: skip
TREND = _object(
    {"verdict": {"enum": ["falling", "rising", "noise", "too few points"]}, "why": _TEXT, "slope": _NUMBER_OR_TEXT,
     "low": _NUMBER_OR_TEXT, "high": _NUMBER_OR_TEXT, "steps": _PAIR, "drop": _PAIR, "bend": _maybe(_COUNT)},
)  # fmt: skip
REPORT = _object(
    {"percent": _COUNT, "step": _COUNT, "total": _COUNT, "first": _COUNT, "status": _TEXT, "why": _TEXT,
     "loss": _object({"start": _NUMBER_OR_TEXT, "now": _NUMBER_OR_TEXT}), "of_steps": _COUNT, "unit": _TEXT,
     "rows": {"type": "array", "items": REPORTED}, "trend": _maybe(TREND),
     "remaining": _named(_COUNT), "seconds_left": _PAIR},
    awaited=_named(_TWO),
)  # fmt: skip
TRAINING = _object(
    {"name": _TEXT, "total": _COUNT, "first": _COUNT, "unit": _TEXT, "status": _TEXT, "why": _TEXT, "step": _COUNT,
     "reports": {"type": "array", "items": REPORT}},
)  # fmt: skip
_COLUMN = _TEXT | {"pattern": r"^[^{}]*(\{\}[^{}]*)?$"}  # a metric's name, with {} where the row's stands
ARMS = _object({"rows": _TEXTS | {"minItems": 1}, "columns": _named(_COLUMN)})
RESOURCES = _object(
    {}, processor=_maybe(_object({"name": _TEXT, "model": _TEXT, "instructions": _TEXTS})),
    probe=_maybe(_object({"device_name": _TEXT})), process=_maybe(_object({"pid": _SOME, "created": _NUMBER})),
    monitor=_named(_object({"mean": _NUMBER, "peak": _NUMBER,
                            "series": {"type": "array", "items": _NUMBER, "minItems": 1}})),
    peak_memory_mb=_NUMBER,
)  # fmt: skip
OUTCOME = _object(
    {"why_not": _TEXT, "rows": {"type": "array", "items": _object(
        {"arm": _COUNT, "metric": _TEXT, "verdict": _TEXT, "why": _TEXT, "difference": _maybe(_NUMBER),
         "interval": _PAIR, "test": _TEXT})}},
)  # fmt: skip
_BOTH = {"dependencies": {"helpers": ["cells_hash"]}}  # format 1 has neither
STATUSES = ("running", "finished", "failed", "interrupted", "abandoned", "superseded")
RECORD = _BOTH | _object(
    {"format": _COUNT, "run_id": _TEXT, "notebook": _TEXT, "title": _TEXT, "question": _TEXT, "profile": _TEXT,
     "status": {"enum": list(STATUSES)}, "started": _TEXT, "seconds": _maybe(_NUMBER), "seed": _maybe(_COUNT),
     "config": _DICT, "config_hash": _TEXT, "data_hash": _maybe(_TEXT), "code_hash": _TEXT, "commit": _maybe(_TEXT),
     "dirty": _maybe(_FLAG), "changed_files": _TEXTS, "device": _TEXT, "numerics": _TEXT, "threads": _maybe(_COUNT),
     "resources": RESOURCES, "versions": _DICT, "predictions": _named(PREDICTION), "metrics": _named(METRIC),
     "figures": _named(FIGURE), "notes": _TEXTS, "verdict": _TEXT, "decision": _TEXT,
     "changed_from": _maybe(_TEXT), "reason": _maybe(_TEXT), "resumed_from": _maybe(_TEXT), "error": _maybe(_DICT)},
    trainings={"type": "array", "items": TRAINING}, agreement=AGREEMENT, headline=_TEXTS, tables=_named(ARMS),
    changed=_named(_TWO), guesses=_named(_LOGGED), outcome=OUTCOME,
    helpers=_named(_TEXT), cells_hash=_TEXT,
)  # fmt: skip
EVENT = _object({"seconds": _SECONDS, "event": _TEXT}, training=_COUNT, metrics=_DICT)
EVENTS = {  # what each kind has besides
    "log": _object({}, metrics=_named(_LOGGED), step=_LOGGED, unit=_maybe(_TEXT), better=_maybe(_TEXT),
                   kind=_maybe(_TEXT)),
    "step": _object({"training": _COUNT, "step": _COUNT, "loss": _SAID, "took": _NUMBER, "values": _named(_SAID)}),
    "sample": _object({"values": _named(_NUMBER)}),
    "packed": _object({"series": _TEXT}),
    "train": _object({"name": _TEXT, "total": _SOME, "first": _MANY, "unit": _TEXT, "eval_every": _maybe(_SOME),
                      "save_every": _maybe(_SOME), "predicted": _named(_TEXT)}),
    "evaluation": _object({"training": _COUNT, "step": _COUNT, "metrics": _named(_SAID), "took": _NUMBER}),
    "checkpoint": _object({"training": _COUNT, "step": _COUNT, "path": _TEXT, "took": _maybe(_NUMBER)}),
    "report": _object({"training": _COUNT, "report": REPORT}),
    "train_end": _object({"training": _COUNT, "status": _TEXT, "step": _COUNT, "why": _TEXT}),
    "note": _object({"text": _TEXT}),
    "say": _object({"text": _TEXT, "values": _DICT}),
    "predict": _object({"name": _TEXT, "value": _NUMBER, "unit": _TEXT}),
    "items": _object({"metric": _TEXT, "items": _TEXT}),
    "table": _object({"name": _TEXT, **ARMS["properties"]}),
}  # fmt: skip
DRAWN = _object({"alt": _TEXT, "data": _DICT})
ITEMS = _object({"values": {"type": "array", "items": _NUMBER}})
_NUMBERS = {"type": "array", "minItems": 2, "items": _NUMBER}
_NUMBERED = {"type": "array", "items": _NUMBER}
_LEAVES = {"type": "array", "items": {"type": ["number", "string", "boolean", "null"]} | _FINITE}  # of what was drawn
SPREAD = _object(
    {"notebook": _TEXT, "profile": _TEXT, "config_hash": _TEXT, "data_hash": _maybe(_TEXT), "seeds": _NUMBERS,
     "metrics": _named(_NUMBERS), "figures": _named(_object({"mean": _LEAVES, "sd": _NUMBERED}))},
    rounding=_object({"metrics": _named(_NUMBER), "figures": _named(_named(_NUMBER))}),
)  # fmt: skip
TEXTS = _named(_TEXT | {"maxLength": 200})  # reference.json, pages.json
SHAPES = {"record": RECORD, "event": EVENT, **EVENTS, "drawn": DRAWN, "of items": ITEMS, "spread": SPREAD,
          "texts": TEXTS}  # fmt: skip


@cache
def _compiled(shape: str):
    import fastjsonschema

    return fastjsonschema.compile(SHAPES[shape], use_default=False)


def check(shape: str, found: object) -> None:
    """Raises ValueError: what is not as one of SHAPES has it, and where in it."""
    _compiled(shape)(found)
    if shape == "record":
        if found["format"] > 3 and any(not {"png", "data"} <= set(figure) for figure in found["figures"].values()):
            raise ValueError("a figure has no picture or no data")
        for report in (report for training in found.get("trainings", ()) for report in training["reports"]):
            _check_report(report)


def _check_report(report: dict) -> None:
    """Raises ValueError: a report that names a best value without its step, or a trend without what it follows from."""
    if any(row.get("best") is not None and "best_step" not in row for row in report["rows"]):
        raise ValueError("a report has a best value without its step")
    trend = report["trend"]
    known = trend and [trend[name] for name in ("slope", "low", "high")]
    if (
        trend
        and trend["verdict"] != "too few points"
        and not (trend["steps"] and all(isinstance(value, (int, float)) for value in known))
    ):
        raise ValueError("a trend has a verdict and no slope, interval or steps")


def check_event(event: object) -> None:
    """Raises ValueError: what is not as an event of its kind has it."""
    check("event", event)
    if event["event"] in EVENTS:
        check(event["event"], event)
