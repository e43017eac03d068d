"""A word when a training is over: a line, the terminal's bell, and one web address if the learner has named one.

COURSE_WEBHOOK=https://… gets a POST with {"text": …, "content": …}, which Slack, Discord and Mattermost understand.
The address is a secret: it is never printed or recorded.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
import warnings

VARIABLE = "COURSE_WEBHOOK"
TIMEOUT = 10  # seconds
PAUSE = 60  # seconds between two; a loop of short trainings is not to flood anybody

_last = float("-inf")


def tell(text: str) -> None:
    """Ring the bell of a terminal and send `text` to the webhook, in a thread."""
    global _last
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()
    address = os.environ.get(VARIABLE)
    if not address or time.monotonic() - _last < PAUSE:
        return
    if not address.lower().startswith("https://"):
        warnings.warn(f"{VARIABLE} must begin with https://; no notice was sent", RuntimeWarning, stacklevel=2)
        return
    _last = time.monotonic()
    thread = threading.Thread(target=_send, args=(address, text), name="journal notice", daemon=True)
    thread.start()
    atexit.register(thread.join, TIMEOUT)  # a process that ends waits for it so long, whatever the server does


def _send(address: str, text: str) -> None:
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        """A redirect could lead to an address without encryption."""

        def redirect_request(self, *args, **kwargs):
            return None

    body = json.dumps({"text": text, "content": text}).encode("utf-8")
    try:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(NoRedirect).open(request, timeout=TIMEOUT):
            pass
    except urllib.error.HTTPError as error:
        print(f"the webhook in {VARIABLE} answered {error.code}; the notice is lost", file=sys.stderr)
    except Exception as error:  # its text could hold the address
        why = getattr(error, "reason", None)
        name = type(why if isinstance(why, BaseException) else error).__name__
        print(f"the webhook in {VARIABLE} cannot be reached ({name}); the notice is lost", file=sys.stderr)
