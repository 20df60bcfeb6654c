"""How the kernel shares the processors between a worker and the rest of the machine."""

from __future__ import annotations

import os


def batch() -> None:
    """Have the kernel wake this thread, and those that it starts, without interrupting who runs.

    SCHED_BATCH (sched(7)) has the same share of the processor.  A worker that
    interrupts the front at each packet finds one request, answers it, sleeps,
    and is woken again; one that waits for its turn finds several.  Whoever has
    chosen another policy for millrace keeps that, and a system that knows none,
    or forbids it, goes on as it is.
    """
    try:
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except (AttributeError, OSError, TypeError, ValueError):
        pass
