"""Map HTTP statuses to PollErrors. Pure."""

from exporter.collectors.contract import Get, Response
from exporter.errors import ClientError, Malformed, RateLimited, Refused, ServerError
from exporter.toolkit.lenient import retry_after


def check(request: Get, response: Response) -> None:
    """Raise the PollError for the response's status, unless it is 200 or one of `request.expected_statuses`."""
    status = response.status
    if status == 200 or status in request.expected_statuses:  # noqa: PLR2004  the status everybody knows
        return
    if status in (401, 403):
        raise Refused(f"{status}: the vendor rejects the credentials")
    if status == 429:  # noqa: PLR2004  see above
        raise RateLimited("429: too many requests", retry_after(response.headers, response.at))
    match status // 100:
        case 3:
            raise ClientError(f"{status}: redirects are not followed")
        case 4:
            raise ClientError(f"{status}")
        case 5:
            raise ServerError(f"{status}")
    raise Malformed(f"status {status}")
