"""How often a token may ask: a bucket that fills at a steady rate."""

from __future__ import annotations

from threading import Lock

__all__ = ["RateLimit"]


class RateLimit:
    """A bucket for each name.

    Args:
        per_second: Requests a second in the long run.
        burst: Requests at once after a pause.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError(f"per_second must be > 0 and burst >= 1, got {per_second} and {burst}")
        self.per_second = per_second
        self.burst = burst
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def wait_s(self, name: str, now: float) -> float:
        """Take one request out of a bucket; returns 0, or the seconds until there is one.

        Args:
            name: Whose bucket.
            now: Any steady clock. [s]
        """
        with self._lock:
            left, at = self._left.get(name, (float(self.burst), now))
            left = min(float(self.burst), left + (now - at) * self.per_second)
            allowed = left >= 1
            self._left[name] = (left - 1 if allowed else left, now)
            return 0.0 if allowed else (1 - left) / self.per_second
