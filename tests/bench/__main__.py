"""python -m tests.bench NAME [options], or make bench ARGS="NAME [options]": measurements that take longer than a test.

Each writes what it measured to the journal. Nothing here passes or fails by a time.
"""

import importlib
import sys

from . import SAYS


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in SAYS:
        print('usage: make bench ARGS="NAME [options]"\n')
        for name, what in SAYS.items():
            print(f"  {name:12} {what}")
        return 2 if arguments else 0
    return importlib.import_module(f"tests.bench.{arguments[0]}").main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
