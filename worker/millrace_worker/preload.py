"""What an import leaves behind that a fork must not share.

A database connection in two processes mixes their answers; a thread exists in
the parent alone, and the locks that it holds are never released in a child.
So the host looks before its first fork, and the master falls back to one
import per worker when something is found.

What is found is said in words that lead to its place: the peer of a socket,
the path of a file, the line that started a thread.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import Dict, List

from millrace_worker import threads

FDS = "/proc/self/fd"
FD_INFO = "/proc/self/fdinfo/%d"
SQLITE = b"SQLite format 3\0"
LOCKS = {"FLOCK": "flock", "POSIX": "fcntl", "OFDLCK": "fcntl"}  # the kernel's word for a lock, and the call's


class Watch(threads.Origins):
    """What is open now, and from now on who starts threads: around the import."""

    def __enter__(self) -> Watch:
        self.before = snapshot()
        self.begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def unsafe(self) -> List[str]:
        """What came and must not be shared, in words."""
        return descriptors(self.before) + threads.found(self)


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


def descriptors(before: Dict[int, str]) -> List[str]:
    """The descriptors that came since the snapshot and must not be shared."""
    why = []
    for fd, target in sorted(snapshot().items()):
        if before.get(fd) == target:
            continue
        try:
            what = judge(fd, target)
        except OSError:
            continue  # a thread has closed it; threads are named themselves
        if what:
            why.append("descriptor %d: %s" % (fd, what))
    return why


def judge(fd: int, target: str) -> str:
    """What is wrong with sharing a descriptor; "" if nothing is."""
    if target.startswith("socket:"):
        return judge_socket(fd)
    if target.startswith("anon_inode:"):
        kind = target[len("anon_inode:") :].strip("[]")
        return "an epoll" if kind == "eventpoll" else "an %s" % kind
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode):
        return "a pipe" if target.startswith("pipe:") else "the named pipe %s" % target
    if not stat.S_ISREG(mode):
        return ""
    if is_sqlite(fd):
        return "the SQLite database %s" % target
    lock = lock_of(fd)
    return "the file %s, locked by %s" % (target, lock) if lock else ""


def judge_socket(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as s:
        if s.type == socket.SOCK_DGRAM:
            return ""  # a log's socket: each message stands alone
        unix = s.family == socket.AF_UNIX
        try:
            peer = s.getpeername()
            if unix and not peer:
                return "one end of a socket pair"
            return "a socket to %s" % place(peer)
        except OSError:
            pass  # it has no peer
        family = getattr(s.family, "name", "family %d" % s.family)
        if unix or s.family in (socket.AF_INET, socket.AF_INET6):
            own = s.getsockname()
            if listens(s):
                return "a socket that listens on %s" % place(own)
            return "a socket (%s) that is not connected" % family
        return "a socket (%s)" % family


def listens(s: socket.socket) -> bool:
    option = getattr(socket, "SO_ACCEPTCONN", None)
    try:
        return option is not None and s.getsockopt(socket.SOL_SOCKET, option) != 0
    except OSError:
        return False


def place(address: object) -> str:
    """An address as people write it; of an abstract Unix socket, with a @."""
    if isinstance(address, bytes):
        return "@" + address[1:].decode("utf-8", "backslashreplace")
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return "[%s]:%s" % (host, port) if ":" in str(host) else "%s:%s" % (host, port)
    return str(address)


def is_sqlite(fd: int) -> bool:
    try:
        return os.pread(fd, len(SQLITE), 0) == SQLITE
    except OSError:
        return False  # write-only: a log file


def lock_of(fd: int) -> str:
    """The call that locked the file of a descriptor through it; "" if none did."""
    try:
        with open(FD_INFO % fd, errors="replace") as f:
            lines = [line.split() for line in f]
    except OSError:
        return ""
    for words in lines:  # "lock: 1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF"
        if len(words) > 2 and words[0] == "lock:":
            return LOCKS.get(words[2], words[2])
    return ""
