"""Whose certificates are believed: the authorities of `ca_file`, else the system's, for API calls and probes alike."""

import ssl

import truststore


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that verifies certificates and names. OSError (ssl.SSLError is one) when `ca_file` is no use."""
    if ca_file is None:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context(cafile=ca_file)
