"""python -m helpers.journal readme: write README's headline table from the reference runs."""

import sys

from .readme import update

if __name__ == "__main__":
    if sys.argv[1:] != ["readme"]:
        sys.exit("usage: python -m helpers.journal readme")
    update()
