"""Basic auth of the web config's users: one thread checks passwords, and the results are cached by a hash.

One that was not checked for lack of room is checked in another thread when it comes again: a crowd of wrong passwords
that are all different does not keep out a Prometheus whose password is not cached yet.
"""

import hashlib
from collections.abc import Mapping
from queue import Full

import bcrypt
from werkzeug.datastructures import Authorization

from exporter.toolkit.config_types import Secret
from exporter.toolkit.wsgi import Pool

_RIGHT, _WRONG, _UNCHECKED = 256, 1000, 50_000
"""How many of each are remembered, the newest ones. A thousand different passwords a second fill the last in 50 s."""
_QUEUED = 8
_BCRYPT_READS = 72
_NOBODYS = b"abcdefghijklmnopqrstuuCJyOCZD2wd6xD6Ncl0lW3VyDAQKqv3a"
"""A bcrypt hash that matches no password."""


class Passwords:
    """Checks credentials. A wrong password takes equally long for any user name, known or not."""

    def __init__(self) -> None:
        self._right: dict[bytes, None] = {}
        self._wrong: dict[bytes, None] = {}
        self._unchecked: dict[bytes, None] = {}
        self.pools = [Pool(name, threads=1, queued=_QUEUED) for name in ("passwords", "passwords-again")]

    async def user(self, authorization: bytes, users: Mapping[str, Secret]) -> str | None:
        """Return the user whose credentials a header holds, or None if they are wrong. Raises queue.Full."""
        given = Authorization.from_header(authorization.decode("ascii", "ignore"))
        if given is None or given.type != "basic" or "\0" in (given.password or ""):
            return None
        name, password = given.username or "", (given.password or "").encode()
        hashes = {user: secret.read().encode() for user, secret in users.items()}
        known = hashes.get(name, b"")
        pair = hashlib.sha256(repr((name, known, password)).encode()).digest()
        if pair not in self._right and pair not in self._wrong:
            dearest = max(int(hashed[4:6]) for hashed in hashes.values())
            try:
                right = await self.pools[pair in self._unchecked].run(lambda: _matches(password, known, dearest))
            except Full:
                _remember(self._unchecked, pair, _UNCHECKED)
                raise
            _remember(*((self._right, pair, _RIGHT) if right else (self._wrong, pair, _WRONG)))
        return name if pair in self._right else None


def _remember(pairs: dict[bytes, None], pair: bytes, most: int) -> None:
    """Add a pair as the newest one, in place of the oldest one if there are too many."""
    pairs.pop(pair, None)
    while len(pairs) >= most:
        del pairs[next(iter(pairs))]
    pairs[pair] = None


def _matches(password: bytes, hashed: bytes, dearest: int) -> bool:
    """Check a password. Each step of cost doubles the work, so 2^c and one hash of each cost up to d make 2^d."""
    password = password[:_BCRYPT_READS]
    if hashed and bcrypt.checkpw(password, hashed):
        return True
    for cost in range(int(hashed[4:6]), dearest) if hashed else (dearest,):
        bcrypt.checkpw(password, b"$2b$%02d$%s" % (cost, _NOBODYS))
    return False
