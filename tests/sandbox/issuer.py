"""Certificates made on the fly, one for each problem that a TLS probe must distinguish."""

import ssl
import tempfile
import warnings
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
    "intermediate": 60.0,
    "client_certificate": 60.0,
    "client_certificate_late": 60.0,
    "old_protocol": 60.0,
}
"""Kinds that have a certificate, with the days that are left of it unless said otherwise."""
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Issuer:
    """A certificate authority of one sandbox."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @property
    def pem(self) -> bytes:
        """The root that clients are to trust."""
        return self._authority.cert_pem.bytes()

    def client_pem(self, days: float = 60.0) -> bytes:
        """Return a certificate and its key to present to an endpoint that wants one."""
        end = datetime.now(UTC) + timedelta(days=days)
        leaf = self._authority.issue_cert("prober@example.com", not_before=end - _LIFE, not_after=end)
        return leaf.private_key_and_cert_chain_pem.bytes()

    def context(self, kind: str, not_after: float, chain_not_after: float) -> ssl.SSLContext:
        """Tell what a server needs to show a certificate of `kind` that ends at epoch second `not_after`.

        `chain_not_after`: when the `intermediate` that signed it ends.
        """
        end = datetime.fromtimestamp(not_after, UTC)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "self_signed":
            _load(context, _self_signed(end))
        elif kind == "intermediate":
            _load(context, self._below_intermediate(end, datetime.fromtimestamp(chain_not_after, UTC)))
        else:
            names = (_WRONG,) if kind == "wrong_name" else (NAME, "127.0.0.1")
            leaf = self._authority.issue_cert(*names, not_before=end - _LIFE, not_after=end)
            leaf.configure_cert(context)
        if kind.startswith("client_certificate"):
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
            # Under TLS 1.3 the server's refusal comes after the client's side of the handshake has ended.
            context.maximum_version = ssl.TLSVersion.TLSv1_3 if kind.endswith("late") else ssl.TLSVersion.TLSv1_2
        if kind == "old_protocol":
            _speak_only_old(context)
        return context

    def _below_intermediate(self, end: datetime, chain_end: datetime) -> bytes:
        """Return the key and the chain of a certificate that ends after the one which signed it."""
        root = x509.load_pem_x509_certificate(self.pem)
        root_key = serialization.load_pem_private_key(self._authority.private_key_pem.bytes(), None)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sandbox intermediate")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(root.subject).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(chain_end - _LIFE).not_valid_after(chain_end)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        # Python 3.13 and newer refuse an authority without these (`VERIFY_X509_STRICT`).
        builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        pem = builder.add_extension(issuer, critical=False).sign(root_key, hashes.SHA256())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        secret = key.private_bytes(encoding, form, serialization.NoEncryption())
        between = trustme.CA.from_pem(pem.public_bytes(encoding), secret)
        leaf = between.issue_cert(NAME, "127.0.0.1", not_before=end - _LIFE, not_after=end)
        return leaf.private_key_and_cert_chain_pem.bytes() + pem.public_bytes(encoding)


def _speak_only_old(context: ssl.SSLContext) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


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
