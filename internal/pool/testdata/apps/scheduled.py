"""Tells how the thread of a request, and the host, are scheduled."""

import os

chosen = os.environ.get("MILLRACE_TEST_POLICY")
if chosen:  # as whoever started all of it with chrt(1)
    os.sched_setscheduler(0, getattr(os, chosen), os.sched_param(0))
names = {getattr(os, name): name for name in ("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE")}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    policies = [os.sched_getscheduler(0), os.sched_getscheduler(os.getppid())]
    return [" ".join(names.get(policy, "another") for policy in policies).encode()]
