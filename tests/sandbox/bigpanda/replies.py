"""The shape of BigPanda's refusals."""

from tests.sandbox.exchange import Reply, answer


def refused(status: int, *errors: str) -> Reply:
    """`{"status": 400, "errors": ["alert 1: …"]}`."""
    return answer(status, {"status": status, "errors": list(errors)})


def done() -> Reply:
    """204."""
    return Reply(204)
