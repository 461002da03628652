"""`python -m tests.bench.vendor PORT MONITORS`: a large Vigilmon account over HTTP, with no limit."""

import sys
from collections.abc import Iterator
from urllib.parse import parse_qs

from tests.bench.account import Account
from tests.bench.standins import serve


def application(account: Account):
    """Return the API as a WSGI application; `POST /down/ID` and `/up/ID` change the world."""

    def answer(environ, start_response) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        _, verb, *rest = path.split("/")
        if verb in ("down", "up"):
            (account.down.add if verb == "down" else account.down.discard)(int(rest[0]))
            body = b"{}"
        elif verb == "ready":
            body = b"ready"
        else:
            body = account.body(path, int(parse_qs(environ["QUERY_STRING"]).get("page", ["1"])[0]))
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        yield body

    return answer


def main() -> None:
    """Serve until the process is ended."""
    serve(sys.argv[1], application(Account(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
