"""python -m helpers.own_text train --text FILE... · sample --prompt TEXT · export --out DIR

    train    a tokenizer and a GPT on text files of your own; an interrupted one goes on with --resume
    sample   text from a trained model: the course's, or with --model your own
    export   the same model for the transformers library, which knows those of --recipe classic

Exit status: 0 all well, 1 stopped before the end (it can go on), 2 wrong usage or input.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from labjournal import say
from labjournal.markdown import spelled_out

from .. import own_text, paths, profile


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.profile:
        os.environ["PROFILE"] = options.profile
    try:
        profile.load()
        return options.run(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 1
    except (FloatingPointError, AssertionError) as error:  # the training diverged; the machine computes wrong
        print(spelled_out(f"error: {error}"), file=sys.stderr)
        return 1
    except (paths.MissingArtifact, ValueError, OSError) as error:
        print(spelled_out(f"error: {error}"), file=sys.stderr)
        return 2


def train(options: argparse.Namespace) -> int:
    return own_text.train(options.text, options.out, options.resume, options.steps, options.seed, options.recipe)


def sample(options: argparse.Namespace) -> int:
    import torch

    from ..gpt import generate

    model, tokenizer, place = _model(options)
    start = [] if tokenizer.bos is None else [tokenizer.bos]
    prompt = torch.tensor([[*start, *tokenizer.encode_text(options.prompt)]])
    print(f"{paths.shown(place)}, seed {options.seed}", file=sys.stderr)
    ids = generate(
        model, prompt, options.tokens, temperature=options.temperature, top_k=options.top_k, top_p=options.top_p,
        stop=tokenizer.eos, generator=torch.Generator().manual_seed(options.seed),
    )  # fmt: skip
    text = tokenizer.decode(i for i in ids[0].tolist() if i not in tokenizer.specials.values())
    print(spelled_out(text) if sys.stdout and sys.stdout.isatty() else text, flush=True)  # a file gets it as it is
    return 0


def export(options: argparse.Namespace) -> int:
    from ..gpt import save_for_transformers

    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise ValueError(f"{options.out} is there and not empty; --out names a new folder")
    model, tokenizer, place = _model(options)
    save_for_transformers(model, tokenizer, options.out)
    print(
        f"{paths.shown(place)} is in {options.out}; AutoModelForCausalLM.from_pretrained({str(options.out)!r}) loads "
        "it. Do not save its tokenizer again with save_pretrained: other libraries would then find special ids in "
        "ordinary text"
    )
    return 0


def _model(options: argparse.Namespace):
    """Model, tokenizer and checkpoint: the course's, or those that `train` left in --model."""
    from .. import bpe, checkpoint

    if options.model:
        folder, made_by, tokens = options.model / "checkpoints", own_text.MADE_BY, options.model / "tokenizer"
        if not options.model.is_dir():
            raise ValueError(
                f"there is no folder {options.model}; --model names the --out of python -m helpers.own_text train"
            )
    else:
        folder, made_by, tokens = paths.artifacts("checkpoints", "03_gpt"), "03_gpt", paths.artifacts("tokenizer")
    place = checkpoint.last(folder) if options.last else checkpoint.best(folder)
    made_with = checkpoint.manifest(place)["profile"] if options.model else profile.load().name
    tokenizer = bpe.load_tokenizer(tokens)
    return checkpoint.load_model(place, made_by, made_with, tokenizer).eval(), tokenizer, place


def _parser() -> argparse.ArgumentParser:
    lines = __doc__.splitlines()
    parser = argparse.ArgumentParser(
        prog="python -m helpers.own_text",
        description="\n".join(lines[2:5]),
        epilog=lines[-1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="train|sample|export")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--profile", choices=list(profile.PROFILES), help="sizes; laptop unless PROFILE says otherwise")
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument(
        "--model", type=Path, metavar="DIR", help="the --out of a training; without it, the course's model"
    )
    which.add_argument("--last", action="store_true", help="the newest checkpoint instead of the best")

    new = commands.add_parser("train", parents=[common], help="train a tokenizer and a GPT on text files of your own")
    new.add_argument("--text", nargs="+", required=True, type=Path, metavar="FILE", help="UTF-8 text files")
    place = paths.artifacts("my_gpt")
    new.add_argument("--out", type=Path, default=place, metavar="DIR", help=f"default: {paths.shown(place)}")
    new.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in DIR")
    new.add_argument(
        "--recipe",
        choices=own_text.RECIPES,
        help="fast has the model and optimizer of notebook 12; classic is GPT-2's shape, which export can write; "
        "default: fast, or the one it began with",
    )
    new.add_argument("--steps", type=_positive, metavar="N", help="default: the profile's, or those it began with")
    new.add_argument("--seed", type=_number, metavar="N", help="default: 1337, or the one it began with")
    new.set_defaults(run=train)

    text = commands.add_parser("sample", parents=[common, which], help="text from a trained model")
    text.add_argument("--prompt", default="", metavar="TEXT", help="what it goes on from; empty: a new document")
    text.add_argument("--tokens", type=_number, default=200, metavar="N", help="at most so many")
    text.add_argument("--temperature", type=float, default=0.8, help="0: always the likeliest token")
    text.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest")
    text.add_argument("--top-p", type=float, metavar="P", help="draw among the fewest that have P of the probability")
    text.add_argument("--seed", type=_number, default=1337, metavar="N")
    text.set_defaults(run=sample)

    away = commands.add_parser("export", parents=[common, which], help="a classic model for the transformers library")
    away.add_argument("--out", type=Path, required=True, metavar="DIR")
    away.set_defaults(run=export)
    return parser


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 0, or too large")
    return int(text)


def _positive(text: str) -> int:
    if not (number := _number(text)):
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


if __name__ == "__main__":
    say.go_on()
    sys.exit(main())
