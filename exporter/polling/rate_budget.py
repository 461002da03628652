"""The request budget of a target: a token bucket, the vendor's rate limit headers, and pauses. Pure.

Never more than `rate` requests in any 60 s, so that a share below the vendor's limit stays below it wherever the
vendor's windows begin. The bucket spreads the requests: a burst is a twentieth of a minute's worth. Nor more in any
second than its share of the rate, or two: BigPanda's limit is five a second.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from exporter.toolkit.http_errors import (
    ConnectFailed,
    HttpError,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TlsFailed,
)
from exporter.toolkit.lenient import time_of

MINUTE: Final = 60.0
SECOND: Final = 1.0
RESERVE: Final = 0.1
"""Share of the vendor's limit that is left to other users of the token."""
FIRST_REFUSAL: Final = 30.0
"""Seconds to wait after a first 401 or 403: a transient one is over by then, and costs less than `max_age`."""
REFUSED: Final = (300.0, 900.0)
"""Seconds to wait after further ones, growing: ThousandEyes blocks an address after 100 a minute."""
LIMITED: Final = (60.0, 900.0)
"""Seconds to wait after a 429 without Retry-After, growing."""
VENDOR_DOWN: Final = (1.0, 30.0)
"""Seconds to wait while consecutive requests find the vendor down, growing from the third on."""
LONGEST: Final = 3600.0
"""Longest wait in seconds, whatever a 429's Retry-After says: some servers write milliseconds."""
SET_BACK: Final = 1.0
"""Seconds by which the clock may step back before recorded times count as wrong."""
ROUNDING: Final = 1e-9

_FAMILIES = ("x-organization-rate-limit-", "x-ratelimit-", "x-rate-limit-", "ratelimit-")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)")
_EPOCH = 1e9  # a reset above is an epoch second, one below is seconds from now


@dataclass(frozen=True, slots=True)
class Pause:
    """No request is sent before `until` (epoch seconds). `reason`: the outcome that caused it."""

    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Budget:
    """The request budget of one target. Methods that change it return a new Budget. Times are epoch seconds."""

    rate: float
    """Requests per minute."""
    tokens: float
    updated: float
    sent: tuple[float, ...] = ()
    """When the requests of the last minute were answered, and the last one sent."""
    limit: float | None = None
    remaining: float | None = None
    """Requests left of the vendor's own limit, by its last response; None if it does not say."""
    reset: float | None = None
    pause: Pause | None = None
    streak: int = 0
    """Failures since the last usable response that concern the vendor, not a single request."""
    refusals: int = 0
    """Responses of 401 or 403 since the last usable response."""
    settled: bool = False
    """Nothing more will be spent from it: its exporter stopped cleanly, or never started."""

    @classmethod
    def start(cls, rate: float, now: float) -> "Budget":
        """Return a budget of `rate` requests per minute that holds one request: a restart allows no burst."""
        return cls(rate=rate, tokens=1.0, updated=now, settled=True)

    def at_rate(self, rate: float) -> "Budget":
        """Return the same budget after a restart or reload, perhaps at another rate and with other credentials."""
        return replace(self.credentials_changed(), rate=rate)

    def inherited(self, now: float, unseen: float) -> "Budget":
        """Return the budget of an exporter that is gone and may not have stored its last `unseen` seconds.

        As many requests as it may have sent in that time count as sent now. None do if it stopped cleanly, or if the
        stored budget is older than a minute: after such a rest the first request is stored at once.
        """
        since = max(0.0, now - self.updated)
        if self.settled or since > MINUTE:
            return replace(self, settled=False)
        rate = self.rate / MINUTE
        most = ceil(min(self.tokens + since * rate, _burst(self.rate) + min(unseen, since) * rate) - ROUNDING)
        return replace(self, tokens=0.0, updated=now, sent=(*self.sent, *[now] * most), settled=False)

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0.0 for now."""
        if pause := self.paused(now):
            return pause.until - now
        missing = 1.0 - self._tokens(now)
        refilled = missing * MINUTE / self.rate if missing > ROUNDING else 0.0
        windows = ((max(1, int(self.rate)), MINUTE), (max(2, ceil(self.rate / MINUTE)), SECOND))
        # Of as many requests as a window may have, the first must have left it before another may follow.
        leave = (min(window, self.sent[-most] + window - now) for most, window in windows if len(self.sent) >= most)
        return max(refilled, *leave, 0.0)

    def spend(self, now: float) -> "Budget":
        """Spend one request. Called when it is sent, whatever its outcome."""
        sent = (*self.sent[bisect_right(self.sent, now - MINUTE) :], now)
        return replace(self, tokens=max(0.0, self._tokens(now) - 1.0), updated=now, sent=sent, settled=False)

    def answered(self, headers: Mapping[str, str], now: float) -> "Budget":
        """Return the budget after a usable response: failures are reset, the reserve is kept."""
        after = replace(self._after_response(headers, now), streak=0, refusals=0, pause=None)
        # A rate that already leaves the reserve is not reduced again.
        reserve = 1.0 if after.limit is None else max(1.0, min(after.limit * RESERVE, after.limit - after.rate))
        if after.remaining is None or after.remaining >= reserve:
            return after
        # The rest is for other users of the token: wait for the vendor's reset, or until our oldest request ages out.
        oldest = self.sent[0] if self.sent else now
        until = after.reset if after.reset is not None else max(now + 1.0, oldest + MINUTE)
        # With some left of a longer window, such as an hour's, ask now and then: the data would be withdrawn meanwhile.
        until = min(until, now + MINUTE) if after.remaining >= 1.0 else until
        return replace(after, pause=Pause(until, "reserve"))

    def failed(self, error: HttpError, now: float, headers: Mapping[str, str] | None = None) -> "Budget":
        """Return the budget after a failure. A failure that concerns only one request leaves it unchanged."""
        after = self._after_response(headers or {}, now)
        if isinstance(error, Refused):
            # The first may be transient; only further ones show that the credentials are wrong.
            seconds = doubled(REFUSED, self.refusals - 1) if self.refusals else FIRST_REFUSAL
        elif isinstance(error, RateLimited):
            wait = error.retry_after
            if wait is None and after.reset is not None:
                wait = after.reset - now
            # A Retry-After of 0 would cause a tight loop: wait at least as long as for a vendor that is down.
            seconds = doubled(LIMITED, self.streak) if wait is None else max(wait, doubled(VENDOR_DOWN, self.streak))
        elif isinstance(error, TimedOut | ConnectFailed | TlsFailed | ServerError):
            seconds = doubled(VENDOR_DOWN, self.streak - 2) if self.streak >= 2 else 0.0  # noqa: PLR2004  two may be chance
        else:
            return after
        pause = Pause(now + min(seconds, LONGEST), error.reason) if seconds > 0 else None
        refusals = self.refusals + isinstance(error, Refused)
        return replace(after, streak=self.streak + 1, refusals=refusals, pause=pause)

    def credentials_changed(self) -> "Budget":
        """Return the budget after the credentials changed: rejections of the old ones no longer count."""
        refused = self.pause is not None and self.pause.reason == Refused.reason
        return replace(self, pause=None, streak=0, refusals=0) if refused else self

    def paused(self, now: float) -> Pause | None:
        """Return the current pause, if any."""
        return self.pause if self.pause and now < self.pause.until else None

    def used_ratio(self, now: float) -> float:
        """Return the requests of the last 60 s as a share of the rate."""
        return sum(at > now - MINUTE for at in self.sent) / self.rate

    def _tokens(self, now: float) -> float:
        if now < self.updated - SET_BACK:
            return 1.0  # the clock was set back: as after a start, allow no burst
        refilled = self.tokens + max(0.0, now - self.updated) * self.rate / MINUTE
        return min(_burst(self.rate), refilled)

    def _after_response(self, headers: Mapping[str, str], now: float) -> "Budget":
        """Return the budget with the last request counted as of `now`, and the nearest limit in the vendor's headers.

        A reset is epoch seconds, epoch milliseconds, seconds from now, or a date. A time by the vendor's clock is
        compared with that clock, as given by its `Date` header; and since limits are per minute, the wait is capped at
        a minute.
        """
        # The vendor counts a request when it arrives, until now: one that was slow shares a second with later ones.
        sent = (*self.sent[:-1], now) if self.sent else ()
        # A limit of 0 is none, because this request was counted too.
        limits = [name for name in _FAMILIES if _number(headers.get(f"{name}limit", "")) != 0]
        counts = ((name, _number(headers.get(f"{name}remaining", ""))) for name in limits)
        left = {name: count for name, count in counts if count is not None}
        if not left:  # what an earlier response said may long be over
            return replace(self, sent=sent, limit=None, remaining=None, reset=None)
        # A gateway may have a limit of its own: the nearest one counts.
        prefix = min(left, key=lambda name: left[name])
        text = headers.get(f"{prefix}reset", "")
        number, vendors_now = _number(text), time_of(headers.get("date", ""))
        if number is not None and number < _EPOCH:
            ahead = min(number, LONGEST)
        else:
            moment = time_of(text if number is None else number)
            ahead = min((moment or 0.0) - (now if vendors_now is None else vendors_now), MINUTE)
        return replace(
            self,
            sent=sent,
            limit=_number(headers.get(f"{prefix}limit", "")),
            remaining=left[prefix],
            reset=now + ahead if ahead > 0 else None,
        )


def doubled(bounds: tuple[float, float], times: int) -> float:
    """Return the first of `bounds`, doubled `times` times, capped at the second."""
    first, most = bounds
    return float(min(most, first * 2 ** min(max(times, 0), 30)))


def _burst(rate: float) -> float:
    return max(1.0, float(int(rate * 0.05)))


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[1]) if match else None
