"""Several tries within one attempt of an activity: a worker that stops or dies uses up no try."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from temporalio import activity

from activities.early_ends import end_if_unwanted, named_failures
from membership.errors import MemberflowError
from membership.model import SyncProgress

T = TypeVar("T")
_TRIES = 3


def tried(what: str, do: Callable[[], T], *, hopeless: tuple[type[MemberflowError], ...] = (), pause: float) -> T:
    """
    The result of `do`, after three tries at most. The last error is final. A type in `hopeless` is final at once.

    Between two tries `pause` seconds pass, twice as many before the last try. There the activity ends when it is
    cancelled or its worker stops. Another attempt, at another worker, then begins anew.
    """
    with named_failures(final=(MemberflowError,)):
        for failed in range(1, _TRIES):
            try:
                return do()
            except hopeless:
                raise
            except MemberflowError as error:
                seconds = pause * failed
                told = f"{what} failed, and try {failed + 1} of {_TRIES} follows in {seconds:.0f} s: {error}"
                activity.logger.warning(told)
                activity.heartbeat(SyncProgress(told))
                activity.wait_for_cancelled_sync(seconds)
                end_if_unwanted(what)
        return do()
