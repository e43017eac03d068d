"""python -m tests.bench NAME [options], or make bench ARGS="NAME [options]": measurements that take longer than a test.

Each writes what it measured to the journal. Nothing here passes or fails by a time.
"""

import importlib
import signal
import sys

from labjournal import say

from . import SAYS


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in SAYS:
        print('usage: make bench ARGS="NAME [options]"\n')
        for name, what in SAYS.items():
            print(f"  {name:12} {what}")
        return 0 if arguments in ([], ["-h"], ["--help"]) else 2
    for name in ("SIGTERM", "SIGHUP"):  # end like Ctrl-C: the run is closed, temporary folders go
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        return importlib.import_module(f"tests.bench.{arguments[0]}").main(arguments[1:])
    except KeyboardInterrupt as interrupt:
        sys.last_value = interrupt  # as if nobody had caught it: the journal closes the run as interrupted
        print("stopped; start it again to go on where that is possible", file=sys.stderr)
        return 130


if __name__ == "__main__":
    say.go_on()
    sys.exit(main(sys.argv[1:]))
