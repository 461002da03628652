"""Map HTTP statuses to HttpErrors. Pure."""

from exporter.collectors.contract import Get, Response
from exporter.toolkit.http_errors import ClientError, Malformed, RateLimited, Refused, ServerError
from exporter.toolkit.lenient import retry_after
from exporter.toolkit.text import is_page


def check(request: Get, response: Response) -> None:
    """Raise the HttpError for the response's status, unless it is 200 or one of `request.expected_statuses`."""
    status = response.status
    if status == 200 or status in request.expected_statuses:  # noqa: PLR2004  the status everybody knows
        return
    if status == 401:  # noqa: PLR2004  see above
        raise Refused("401: the vendor rejects the credentials")
    if status == 403:  # noqa: PLR2004  see above
        by_vendor = "the credentials lack a permission, or this host's address is not allowed"
        denied = "a firewall or proxy denies access, with a web page" if is_page(response.body) else by_vendor
        raise Refused(f"403: {denied}")
    if status == 429:  # noqa: PLR2004  see above
        raise RateLimited("429: too many requests", retry_after(response.headers, response.at))
    match status // 100:
        case 3:
            raise ClientError(f"{status}: redirects are not followed")
        case 4:
            raise ClientError(f"{status}")
        case 5:
            raise ServerError(f"{status}", retry_after(response.headers, response.at))
    raise Malformed(f"status {status}")
