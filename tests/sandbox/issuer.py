"""Certificates made on the fly: each kind of trouble that a TLS probe must tell apart."""

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "localhost"
_WRONG = "other.example.com"
_LIFE = timedelta(days=90)
DAYS = {
    "good": 60.0,
    "near_expiry": 3.0,
    "expired": -2.0,
    "self_signed": 60.0,
    "wrong_name": 60.0,
    "not_yet_valid": 91.0,
}
"""Kinds that have a certificate, with the days that are left of it unless said otherwise."""


class Issuer:
    """A certificate authority of one sandbox."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @property
    def pem(self) -> bytes:
        """The root that clients are to trust."""
        return self._authority.cert_pem.bytes()

    def context(self, kind: str, not_after: float) -> ssl.SSLContext:
        """Tell what a server needs to show a certificate of `kind` that ends at epoch second `not_after`."""
        end = datetime.fromtimestamp(not_after, UTC)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "self_signed":
            _load(context, _self_signed(end))
        else:
            names = (_WRONG,) if kind == "wrong_name" else (NAME, "127.0.0.1")
            leaf = self._authority.issue_cert(*names, not_before=end - _LIFE, not_after=end)
            leaf.configure_cert(context)
        return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """`ssl` reads a certificate from a file only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.pem"
        path.write_bytes(pem)
        context.load_cert_chain(path)


def _self_signed(end: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(end - _LIFE).not_valid_after(end)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.NoEncryption())
    return private + certificate.public_bytes(encoding)
