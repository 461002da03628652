"""The exporter's application behind the front, as the program puts it there."""

import http.client
from contextlib import closing

from exporter.toolkit.front import Front
from exporter.toolkit.server import HttpServer
from exporter.toolkit.web_config import WebConfigFile
from exporter.web.pages import route


def asked(web, path, method="GET", **headers):
    """Return the status, the headers and the body of an answer."""
    config = WebConfigFile(None)
    server = HttpServer(Front(web, config, route), [("127.0.0.1", 0)])
    server.start()
    try:
        with closing(http.client.HTTPConnection(*server.addresses[0], timeout=30)) as client:
            client.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = client.getresponse()
            found = dict(answer.getheaders())
            assert len(found) == len(answer.getheaders()), "a header is there twice"
            return f"{answer.status} {answer.reason}", {name.title(): found[name] for name in found}, answer.read()
    finally:
        server.stop()
