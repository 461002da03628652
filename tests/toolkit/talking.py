"""A server of raw sockets: each test says what is read and written, byte by byte."""

import contextlib
import socket
import threading


class Server:
    """`requests`: the heads that were read; `connections`: how many were accepted."""

    def __init__(self, port):
        self.port, self.requests, self.connections = port, [], 0
        self.url = f"http://127.0.0.1:{port}"
        self.over = threading.Event()

    def heads(self, connection):
        """Yield each request of a connection, its body included."""
        reader = connection.makefile("rb")
        while line := reader.readline():
            head = line
            while line not in (b"\r\n", b""):
                line = reader.readline()
                head += line
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next((int(one.split(":")[1]) for one in lines if one.startswith("content-length:")), 0)
            request = head + reader.read(length)
            self.requests.append(request)
            yield request


@contextlib.contextmanager
def serving(act, *, context=None, host="127.0.0.1", port=0):
    """Serve each connection in a thread by `act(connection, server)`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        server = Server(listening.getsockname()[1])
        listening.settimeout(0.02)

        def carry(connection):
            with connection, contextlib.suppress(OSError):
                connection.settimeout(60)
                with context.wrap_socket(connection, server_side=True) if context else connection as talking:
                    act(talking, server)

        def accept():
            while not server.over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                server.connections += 1
                threading.Thread(target=carry, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            thread.join()


def answer(body=b"ok", status="200 OK", *more):
    """Return a whole answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def answering(*answers):
    """Return what gives these answers, one for each request of a connection, the last one again and again."""

    def act(connection, server):
        for count, _ in enumerate(server.heads(connection)):
            connection.sendall(answers[min(count, len(answers) - 1)])

    return act


def dying_when_reused(end):
    """Return what answers the first request of each connection and ends at the second."""

    def act(connection, server):
        for count, _ in enumerate(server.heads(connection)):
            if count:
                end(connection, server)
                return
            connection.sendall(answer())

    return act
