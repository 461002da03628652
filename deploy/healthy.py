# ruff: noqa: INP001  one file of the image, no package
"""The container's health check: `healthy.py [URL]` exits with 0 if the program in this container is healthy.

Without a URL it tries the default ports of both programs, because a container runs one of them. A 401 is healthy too,
and so is a response under a certificate that is not for 127.0.0.1.
"""

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

DEFAULT = tuple(f"{scheme}://127.0.0.1:{port}/-/healthy" for port in (9788, 9789) for scheme in ("http", "https"))
TIMEOUT = 3.0
"""Seconds for each URL."""
ANY_CERTIFICATE = ssl._create_unverified_context()  # noqa: S323, SLF001  no secret is sent, and only to this container


def main(urls: Sequence[str]) -> int:
    """Return the exit status."""
    return 0 if any(answers(url) for url in urls or DEFAULT) else 1


def answers(url: str) -> bool:
    """Return whether a healthy program answers at the URL."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT, context=ANY_CERTIFICATE) as response:  # noqa: S310  the operator's own URL
            return bool(response.status == 200)  # noqa: PLR2004  OK
    except urllib.error.HTTPError as error:
        return error.code == 401  # noqa: PLR2004  unauthorized
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
