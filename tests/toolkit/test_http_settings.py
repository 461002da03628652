"""What outgoing connections may be configured with."""

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from exporter.toolkit.http_settings import is_url, load_key_pair


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("https://api.example.com", True),
        ("http://[2001:db8::1]:8080/v2", True),
        ("https://api.example.com:65535", True),
        ("https://api.example.com:0", False),
        ("https://api.example.com:65536", False),
        ("https://api.example.com:port", False),
        ("https://", False),
        ("ftp://api.example.com", False),
        ("api.example.com", False),
        ("https://bücher.example/v2?key=a%20b", True),
        ("https://*.example.com", False),
        ("https://.example.com", False),
        ("https://api_é.example.com", False),
        ("https://example%", False),
        ("https://[::1]a", False),
    ],
)
def test_url_has_a_host_and_a_port_that_exist(text, valid):
    """Port 0 means any port to the system, and none to a server; no request can be sent to some names."""
    assert is_url(text) is valid


def test_key_with_a_password_is_an_error_and_no_question(tmp_path, capfd):
    """OpenSSL would ask for the password on the terminal, where nobody is."""
    issued = trustme.CA().issue_cert("vendor.example")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = serialization.BestAvailableEncryption(b"hidden")
    kind = serialization.PrivateFormat.PKCS8
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, encrypted))
    with pytest.raises(ValueError, match=r"^not a certificate and its unencrypted key in PEM form$"):
        load_key_pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert capfd.readouterr().err == ""
