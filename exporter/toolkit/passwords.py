"""Basic auth of the web config's users: one thread checks passwords, and correct ones are cached as a hash."""

import base64
import binascii
import hashlib
from collections.abc import Mapping

import bcrypt

from exporter.toolkit.config_types import Secret
from exporter.toolkit.wsgi import Pool

_REMEMBERED = 256
_QUEUED = 8
_BCRYPT_READS = 72
_NOBODYS = b"abcdefghijklmnopqrstuuCJyOCZD2wd6xD6Ncl0lW3VyDAQKqv3a"
"""A bcrypt hash that matches no password."""


class Passwords:
    """Checks credentials. A wrong password takes equally long for any user name, known or not."""

    def __init__(self) -> None:
        self._right: set[bytes] = set()
        self.pool = Pool("passwords", threads=1, queued=_QUEUED)

    async def user(self, authorization: bytes, users: Mapping[str, Secret]) -> str | None:
        """Return the user whose credentials a header holds, or None if they are wrong. Raises queue.Full."""
        name, password = credentials(authorization)
        if password is None:
            return None
        hashes = {user: secret.read().encode() for user, secret in users.items()}
        known = hashes.get(name, b"")
        pair = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in (name.encode(), known, password)))
        if pair.digest() in self._right:
            return name
        dearest = max(int(hashed[4:6]) for hashed in hashes.values())
        if not await self.pool.run(lambda: _matches(password, known, dearest)):
            return None
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right.add(pair.digest())
        return name


def credentials(authorization: bytes) -> tuple[str, bytes | None]:
    """Return the name and the password of a Basic header; the password is None if there is none."""
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return "", None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return "", None
    return name.decode("utf-8", "replace"), password if colon and b"\0" not in password else None


def _matches(password: bytes, hashed: bytes, dearest: int) -> bool:
    """Check a password. Each step of cost doubles the work, so 2^c and one hash of each cost up to d make 2^d."""
    password = password[:_BCRYPT_READS]
    if hashed and bcrypt.checkpw(password, hashed):
        return True
    for cost in range(int(hashed[4:6]), dearest) if hashed else (dearest,):
        bcrypt.checkpw(password, b"$2b$%02d$%s" % (cost, _NOBODYS))
    return False
