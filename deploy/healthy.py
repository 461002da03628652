# ruff: noqa: INP001  one file of the image, no package
"""The container's health check: `healthy.py [URL]` ends with 0 when the program in this container answers.

Without a URL both programs' default ports are tried: a container runs one of them. An answer that asks for a password
is an answer.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

DEFAULT = ("http://127.0.0.1:9788/-/healthy", "http://127.0.0.1:9789/-/healthy")
TIMEOUT = 3.0
"""Seconds for each."""


def main(urls: Sequence[str]) -> int:
    """Return the exit status."""
    return 0 if any(answers(url) for url in urls or DEFAULT) else 1


def answers(url: str) -> bool:
    """Return whether somebody well answers there."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310  the operator's own URL
            return bool(response.status == 200)  # noqa: PLR2004  OK
    except urllib.error.HTTPError as error:
        return error.code == 401  # noqa: PLR2004  unauthorized
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
