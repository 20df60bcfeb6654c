"""What an import leaves behind that a fork must not share.

A database connection in two processes mixes their answers; a thread exists in
the parent alone, and the locks that it holds are never released in a child.
So the host looks before its first fork, and the master falls back to one
import per worker when something is found.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
from typing import Dict, List

FDS = "/proc/self/fd"
TASKS = "/proc/self/task"
LOCKS = "/proc/locks"
SQLITE = b"SQLite format 3\0"


def snapshot() -> Dict[int, str]:
    """The open descriptors and what they are; empty where the system does not tell."""
    found: Dict[int, str] = {}
    try:
        names = os.listdir(FDS)
    except OSError:
        return found
    for name in names:
        try:
            found[int(name)] = os.readlink(os.path.join(FDS, name))
        except OSError:
            pass  # the descriptor of the listing itself
    return found


def unsafe(before: Dict[int, str]) -> List[str]:
    """What came since the snapshot and must not be shared, in words."""
    why = []
    for fd, target in sorted(snapshot().items()):
        if before.get(fd) == target:
            continue
        what = judge(fd, target)
        if what:
            why.append("descriptor %d: %s" % (fd, what))
    why.extend(threads())
    return why


def judge(fd: int, target: str) -> str:
    """What is wrong with sharing a descriptor; "" if nothing is."""
    if target.startswith("socket:"):
        return judge_socket(fd)
    if target.startswith("pipe:"):
        return "a pipe"
    if target.startswith("anon_inode:"):
        return "an %s" % target[len("anon_inode:") :].strip("[]")
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return ""
        if os.pread(fd, len(SQLITE), 0) == SQLITE:
            return "the SQLite database %s" % target
    except OSError:
        return ""  # write-only: a log file
    if ":%d " % info.st_ino in own_locks():
        return "the locked file %s" % target
    return ""


def judge_socket(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as s:
        if s.type == socket.SOCK_DGRAM:
            return ""  # a log's socket: each message stands alone
        try:
            return "a socket to %s" % (s.getpeername(),)
        except OSError:
            pass
        try:
            return "a socket on %s" % (s.getsockname(),)
        except OSError:
            return "a socket"


def own_locks() -> str:
    """The lines of /proc/locks that are this process's."""
    try:
        with open(LOCKS) as f:
            return "".join([line for line in f if " %d " % os.getpid() in line])
    except OSError:
        return ""


def threads() -> List[str]:
    """Every thread but this one; those that C code started have no name."""
    names = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    try:
        count = len(os.listdir(TASKS)) - 1
    except OSError:
        count = len(names)
    unknown = count - len(names)
    found = ["thread %r" % name for name in names]
    if unknown > 0:
        found.append("%d thread%s not started by Python" % (unknown, "s" if unknown > 1 else ""))
    return found
