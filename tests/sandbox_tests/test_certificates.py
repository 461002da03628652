import contextlib
import ftplib
import imaplib
import poplib
import smtplib
import socket
import ssl
import time

import psycopg
import pytest
from cryptography import x509

DAY = 86400


@pytest.fixture
def certificates(sandbox, clock):
    clock.now = time.time()
    return sandbox.certificates


def handshake(endpoint, root=None, timeout=30):
    """Connect and give the certificate; verified when there is a root."""
    context = ssl.create_default_context()
    if root:
        context.load_verify_locations(cadata=root.decode())
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", endpoint.port), timeout) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True))


@pytest.mark.parametrize(
    ("kind", "days", "code"),
    [
        ("good", 60, None),
        ("near_expiry", 3, None),
        ("expired", -2, 10),
        ("not_yet_valid", 91, 9),
        ("self_signed", 60, 18),
        ("wrong_name", 60, 62),
    ],
)
def test_each_kind_of_certificate(certificates, kind, days, code):
    """A client that trusts the root rejects it with that error; its date can be read anyway."""
    endpoint = certificates.open(kind)
    refused = pytest.raises(ssl.SSLCertVerificationError) if code else contextlib.nullcontext()
    with refused as caught:
        handshake(endpoint, certificates.root_pem)
    assert caught is None or caught.value.verify_code == code
    left = handshake(endpoint).not_valid_after_utc.timestamp() - time.time()
    assert left == pytest.approx(days * DAY, abs=120)


def test_silent_endpoint_accepts_and_sends_nothing(certificates):
    """The connection stands and nothing comes."""
    endpoint = certificates.open("silent")
    with pytest.raises(TimeoutError):
        handshake(endpoint, timeout=0.3)
    assert endpoint.connections == 1


def test_plain_endpoint_fails_the_handshake(certificates):
    """At once."""
    with pytest.raises(ssl.SSLError):
        handshake(certificates.open("plain"))


def test_certificate_can_be_replaced(certificates, control):
    """While the endpoint runs."""
    opened = control.post("/certificates/open", json={"kind": "good"}).json()["result"]
    assert control.post("/certificates/renew", json={"port": opened["port"], "days": 2}).status_code == 200
    (listed,) = control.get("/certificates").json()
    assert listed["not_after"] == pytest.approx(time.time() + 2 * DAY, abs=120)
    assert handshake(certificates.endpoints[0]).not_valid_after_utc.timestamp() == listed["not_after"]
    assert control.get("/certificates/root.pem").content == certificates.root_pem


def smtp(port, context):
    client = smtplib.SMTP("localhost", port, timeout=30)
    client.starttls(context=context)
    with client.sock as secured:
        return secured.getpeercert(binary_form=True)


def imap(port, context):
    client = imaplib.IMAP4("localhost", port, timeout=30)
    with contextlib.suppress(imaplib.IMAP4.abort):  # it goes on to talk IMAP, which the sandbox does not
        client.starttls(context)
    with client.socket() as secured:
        return secured.getpeercert(binary_form=True)


def pop3(port, context):
    client = poplib.POP3("localhost", port, timeout=30)
    client.stls(context)
    with client.sock as secured:
        return secured.getpeercert(binary_form=True)


def ftp(port, context):
    client = ftplib.FTP_TLS(context=context, timeout=30)  # noqa: S321  to loopback
    client.connect("localhost", port)
    client.auth()
    with client.sock as secured:
        return secured.getpeercert(binary_form=True)


@pytest.mark.parametrize("client", [smtp, imap, pop3, ftp], ids=lambda client: client.__name__)
def test_standard_library_clients_start_tls(certificates, client):
    """The sandbox speaks the protocol, not just our probe's dialogue."""
    endpoint = certificates.open(starttls=client.__name__)
    context = ssl.create_default_context(cadata=certificates.root_pem.decode())
    seen = x509.load_der_x509_certificate(client(endpoint.port, context))
    assert seen.not_valid_after_utc.timestamp() == endpoint.not_after


def test_psycopg_starts_tls(certificates):
    """After the response to its SSLRequest."""
    endpoint = certificates.open(starttls="postgres")
    with pytest.raises(psycopg.OperationalError, match="authentication request from server, but received H"):
        psycopg.connect(f"host=localhost port={endpoint.port} user=x dbname=x sslmode=require connect_timeout=10")
    assert endpoint.connections >= 1


def test_intermediate_expires_before_the_certificate(certificates):
    """The server's own certificate lasts, the one that signed it does not."""
    endpoint = certificates.open("intermediate", days=60, chain_days=5)
    handshake(endpoint, certificates.root_pem)
    certificates.renew(endpoint.port, days=60, kind="intermediate", chain_days=-1)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(endpoint, certificates.root_pem)
    assert caught.value.verify_code == 10
