"""python -m tests.bench NAME [options], or make bench ARGS="NAME [options]": measurements that take longer than a test.

Each writes what it measured to the journal. Nothing here passes or fails by a time.
"""

import importlib
import sys

BENCHMARKS = {
    "journal": "what a start and a logged number cost, also among 3,000 runs (five minutes)",
    "watch": "what watching a training costs (a minute)",
    "clean_speed": "how fast cleaning is, beside datatrove (five minutes, and half a gigabyte at the first call)",
    "clean_effect": "what cleaning does to a small model, five seeds an arm (six minutes)",
    "clean_scale": "how cleaning grows with workers and with the input (seven minutes)",
    "tokenizer": "how fast the tokenizer is, beside tiktoken and Hugging Face tokenizers (three minutes)",
    "vocabulary": "which vocabulary small models do best with, at equal compute (twenty minutes)",
    "resume": "whether a training that is killed twenty times is the one that never was (five minutes)",
    "budget": "how far time and peak memory lie from their plan, for three models (four minutes)",
    "race": "a fast recipe beside nanoGPT: time to its loss, speed, share of the limit (half an hour)",
    "levers": "what each part of the fast recipe is worth, in tokens and in seconds (forty minutes)",
    "numerics": "whether bfloat16, and no dropout on attention, train as well (half an hour)",
    "recipes": "whether the fast recipe is the better default on the course's own shards (ten minutes)",
    "tune": "as many trials for the plain recipe as for the fast one (eight minutes)",
    "spread": "how far apart runs are that differ in the seed or the processor (five to seven runs of a notebook)",
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in BENCHMARKS:
        print('usage: make bench ARGS="NAME [options]"\n')
        for name, what in BENCHMARKS.items():
            print(f"  {name:12} {what}")
        return 2 if arguments else 0
    return importlib.import_module(f"tests.bench.{arguments[0]}").main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
