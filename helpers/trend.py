"""Is a row of values still falling? The journal's own trend, for notebooks; see :mod:`labjournal.trend`."""

from labjournal.trend import *  # noqa: F403
