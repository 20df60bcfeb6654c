"""Short requests of 0.2 ms of work, and long ones that wait 100 ms."""

import time


def work(rounds):
    for _ in range(rounds):
        pass


def calibrate():
    """How many rounds take 0.2 ms on an idle core."""
    best = float("inf")
    for _ in range(50):
        begin = time.perf_counter()
        work(10000)
        best = min(best, time.perf_counter() - begin)
    return int(10000 * 0.0002 / best)


ROUNDS = calibrate()


def application(environ, start_response):
    if environ["PATH_INFO"] == "/long":
        time.sleep(0.1)
    elif environ["PATH_INFO"] != "/hello":
        work(ROUNDS)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
