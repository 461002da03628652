"""One connection's bytes: when a request is whole, and how answers leave."""

import socket
import threading

import pytest

from exporter.wire import HEAD_LIMIT, Arrival, Reader, Writer, size, unpaced

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 100


def post(*headers, body=b""):
    return b"\r\n".join([b"POST / HTTP/1.1", *headers, b"", body])


@pytest.mark.parametrize(
    ("came", "found"),
    [
        (b"", None),
        (GET[:-1], None),
        (GET, len(GET)),
        (GET + GET, len(GET)),
        (post(b"Content-Length: 3", body=b"ab"), None),
        (post(b"Content-Length: 3", body=b"abc"), len(post(b"Content-Length: 3", body=b"abc"))),
        (post(b"content-length :3 ", body=b"ab"), None),
        (post(b"Content-Length: 1", b"Content-Length: 3", body=b"ab"), None),
        (post(b"X-Content-Length: 3", body=b""), len(post(b"X-Content-Length: 3"))),
        (post(b"Content-Length: 101"), len(post(b"Content-Length: 101"))),
        (post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"), None),
        (post(b"Transfer-Encoding: gzip, Chunked", body=b"0\r\n\r\n"),
         len(post(b"Transfer-Encoding: gzip, Chunked", body=b"0\r\n\r\n"))),
        (post(b"Transfer-Encoding: chunked", body=bytes(101)),
         len(post(b"Transfer-Encoding: chunked", body=bytes(101)))),
        (bytes(HEAD_LIMIT), None),
        (bytes(HEAD_LIMIT + 1), HEAD_LIMIT + 1),
    ],
)  # fmt: skip
def test_a_request_is_whole_with_its_body_or_when_it_is_too_large(came, found):
    """By the last Content-Length, as cheroot reads it; what will be refused is not waited for."""
    assert size(came, LIMIT) == found
    assert size(bytearray(came), LIMIT) == found


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="only Linux lets a connection choose")
def test_a_connection_of_loopback_is_not_paced():
    """Whatever the system paces others with; a socket of another kind stays as it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as one:
        unpaced(one)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
    unpaced(one)


@pytest.fixture
def ends():
    """Return a connection: the client's socket, and the server's, which does not block."""
    client, server = socket.socketpair()
    with client, server:
        client.settimeout(30)
        server.settimeout(0.0)
        yield client, server


def test_a_request_is_read_once_it_is_whole(ends):
    """However it was cut; what came with it is the next one."""
    client, server = ends
    reader = Reader(server, LIMIT)
    whole = post(b"Content-Length: 3", body=b"abc")
    for at in range(len(whole)):
        assert reader.receive() is Arrival.PART
        assert (reader.since is None) == (at == 0)
        client.sendall(whole[at : at + 1])
    client.sendall(GET)
    assert reader.receive() is Arrival.WHOLE
    assert reader.since is None
    assert (reader.readline(), reader.left()) == (b"POST / HTTP/1.1\r\n", True)
    assert (reader.read()[-3:], reader.left()) == (b"abc", False)
    reader.receive()
    assert reader.request == GET


def test_a_client_that_hangs_up_is_gone_once_what_it_sent_is_read(ends):
    """Half a request is answered as what it is."""
    client, server = ends
    reader = Reader(server, LIMIT)
    client.sendall(GET[:9])
    client.shutdown(socket.SHUT_WR)
    assert reader.receive() is Arrival.WHOLE
    assert reader.read() == GET[:9]
    assert reader.receive() is Arrival.GONE


def test_a_client_that_asks_whether_it_may_send_is_told_once(ends):
    """`Expect: 100-continue`, while the body is not there."""
    client, server = ends
    reader = Reader(server, LIMIT)
    whole = post(b"Expect: 100-Continue", b"Content-Length: 3", body=b"abc")
    client.sendall(whole[:-3])
    assert reader.receive() is Arrival.PART
    assert client.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"ab")
    assert reader.receive() is Arrival.PART
    client.sendall(b"c")
    assert reader.receive() is Arrival.WHOLE
    client.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_an_answer_larger_than_the_socket_takes_arrives_whole(ends):
    """And the small pieces before it, in their order."""
    client, server = ends
    writer = Writer(server)
    writer.answered = True
    large = bytes(range(256)) * 10_000
    sending = threading.Thread(target=lambda: [writer.write(piece) for piece in (b"head", b"small", large)])
    sending.start()
    got = bytearray()
    while len(got) < len(large) + 9:
        got += client.recv(1 << 20)
    sending.join()
    assert got == b"headsmall" + large
    assert server.gettimeout() == 0.0


def test_small_pieces_leave_when_the_answer_ends(ends):
    """Not before."""
    client, server = ends
    writer = Writer(server)
    writer.answered = True
    writer.write(b"a")
    writer.write(b"b")
    client.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        client.recv(9)
    writer.flush()
    assert client.recv(9) == b"ab"
