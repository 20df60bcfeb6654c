"""The host of one app: imports it once, then forks workers on request.

The host is single-threaded and runs no request.  It talks with the master
over a control socket, one JSON object a line each way:

master  {"do": "start", ...}                 first of all: what to import, and how
        {"do": "fork", "process": N, "slot": S, "channel": C}
                                             with descriptors: requests, answers, output, lifeline,
                                             tracebacks; and, where threads answer requests, a control socket
                                             for the process
        {"do": "kill", "process": N, "signal": S}
        {"do": "trace", "process": N, "by": "interpreter" or "faulthandler"}
                                             its tracebacks go to their pipe; see overtime.py
host    {"event": "ready", ...}              the app is imported (or left to the workers)
        {"event": "failed", "traceback": T}  the import failed; the host leaves
        {"event": "unsafe", "why": [...]}    the import left what must not be shared by a fork; the host leaves
        {"event": "forked", "process": N, "pid": P}
        {"event": "died", "process": N, "how": TEXT}

A process whose threads answer requests starts one for each channel: that of
its fork, and those that it is told of over its own control socket,

master  {"slot": S, "channel": C}            with two descriptors: requests, answers

and leaves when that socket has closed and its last thread has ended.

Where each request has a process of its own, the host imports nothing: each
process imports the app inside of its one request.

Only the host reaps its workers, so its report of a death is the truth, and a
kill through the host can never hit a process id that was used again.

When the control socket closes, the host kills its workers and leaves.  Each
worker also holds the reading end of a pipe whose writing end is the master's
alone, with SIGKILL as the pipe's signal: when the master lets go, or is gone,
the kernel ends the worker, whatever it is doing.
"""

from __future__ import annotations

import array
import faulthandler
import fcntl
import gc
import importlib
import json
import mmap
import os
import platform
import random
import select
import signal
import socket
import stat
import sys
import threading
import traceback
from typing import Any, Dict, List, Optional, Tuple

from millrace_worker import channel, django_errors, leave, output, overtime, preload, scheduling, warm

CONTROL = 3  # descriptors that the master gives the host
PAGE = 4
LIFELINE = 5  # armed already (supervise.Command.Lifeline); not there on every system

Message = Dict[str, Any]


class Control:
    """The host's end of the control socket."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(True)
        self.text = b""
        self.fds: List[int] = []

    def say(self, event: str, **fields: Any) -> None:
        fields["event"] = event
        try:
            self.socket.sendall(json.dumps(fields).encode() + b"\n")
        except OSError:
            pass  # the master is gone; the next read says so

    def fill(self) -> bool:
        """Read what is there; False at the end."""
        size = socket.CMSG_SPACE(64 * 4)
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, size, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        except OSError:
            return False
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                for fd in fds:
                    os.set_inheritable(fd, False)
                self.fds.extend(fds)
        self.text += data
        return bool(data)

    def messages(self) -> List[Message]:
        """The whole messages among what was read."""
        *lines, self.text = self.text.split(b"\n")
        return [json.loads(line) for line in lines]

    def take(self, count: int) -> List[int]:
        """The descriptors of the message at hand: they come in its order."""
        fds, self.fds = self.fds[:count], self.fds[count:]
        return fds


class Host:
    """The state of the host process."""

    def __init__(self, control: Control, page: mmap.mmap, settings: Message, lifeline: bool) -> None:
        self.lifeline = lifeline
        self.control = control
        self.page = page
        self.settings = settings
        self.app: Optional[channel.App] = None
        self.tracebacks = overtime.prepare()
        self.workers: Dict[int, int] = {}  # the master's number of a process to its id

    def run(self) -> Optional[Child]:
        """Serve the master until it goes; in a forked worker, return what it has to run."""
        wake, self.wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self.wake, False)
        self.wakeup = wake
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control.socket.fileno(), select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == wake:
                    try:
                        os.read(wake, 4096)
                    except BlockingIOError:
                        pass
                    self.reap()
                    continue
                if not self.control.fill():
                    self.kill_all()
                    return None
                for message in self.control.messages():
                    if message["do"] == "fork":
                        child = self.fork(message)
                        if child is not None:
                            return child
                    elif message["do"] == "kill":
                        self.kill(message["process"], message["signal"])
                    elif message["do"] == "trace":
                        by_interpreter = message["by"] == "interpreter"
                        self.kill(message["process"], overtime.INTERPRETER if by_interpreter else overtime.FAULTHANDLER)

    def fork(self, message: Message) -> Optional[Child]:
        number = message["process"]
        fds = self.control.take(6 if self.settings["threads"] else 5)
        try:
            pid = os.fork()
        except OSError as e:
            pid = -1
            self.control.say("died", process=number, how="cannot fork: %s" % e)
        if pid == 0:
            os.close(self.wakeup)
            os.close(self.wake)
            self.control.socket.close()
            return Child(self, message, fds)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self.workers[number] = pid
            self.control.say("forked", process=number, pid=pid)
        return None

    def kill(self, number: int, signal_number: int) -> None:
        if number in self.workers:
            os.kill(self.workers[number], signal_number)
        else:  # a master that is gone has heard of its death, and this one took its place
            self.control.say("died", process=number, how="it had ended before")

    def kill_all(self) -> None:
        for pid in self.workers.values():
            os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        for number, pid in list(self.workers.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.workers[number]
                self.control.say("died", process=number, how=describe(status))


class Child:
    """A forked worker: from the fork to its last request."""

    def __init__(self, host: Host, message: Message, fds: List[int]) -> None:
        self.settings = host.settings
        self.app = host.app
        self.page = host.page
        self.pid = os.getpid()
        requests, answers, out, self.lifeline, tracebacks = fds[:5]
        if host.lifeline:
            os.close(LIFELINE)  # it is the host's group's
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.setpgid(0, 0)  # a Ctrl-C in the terminal is the master's to handle
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.close(out)
        hold_lifeline(self.lifeline)
        self.tracebacks = os.dup2(tracebacks, host.tracebacks, inheritable=False)
        os.close(tracebacks)
        scheduling.batch()
        if not gil() or not hasattr(faulthandler, "register"):
            overtime.watch(self.tracebacks)
        random.seed()
        self.control = Control(fds[5]) if self.settings["threads"] else None
        if self.control is not None:
            signal.siginterrupt(overtime.INTERPRETER, True)  # the main thread, which runs no app, is to wake
        self.threads: Dict[channel.Channel, threading.Thread] = {}
        self.channel = self.open(message, requests, answers)
        if signal.getsignal(signal.SIGTERM) is ignore:  # else it is the app's
            signal.signal(signal.SIGTERM, self.end_request)
        # A child that the app forks must not hold the channels, or answer on them.
        os.register_at_fork(after_in_child=self.let_go)

    def open(self, message: Message, requests: int, answers: int) -> channel.Channel:
        return channel.Channel(message["channel"], requests, answers, self.page, message["slot"])

    def let_go(self) -> None:
        for one in [self.channel, *self.threads]:
            one.close()
        if self.control is not None:
            self.control.socket.close()
        for fd in (self.lifeline, self.tracebacks):
            try:
                os.close(fd)
            except OSError:
                pass
        if signal.getsignal(signal.SIGTERM) == self.end_request:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def end_request(self, number: int, frame: Any) -> None:
        """The handler of SIGTERM: ends the requests that the master has marked, and nothing else.

        A supervisor may send one to every process of the service, and what
        runs must end first.
        """
        if self.control is None:
            if self.channel.marked():
                raise channel.RequestEnded
            return
        for one, thread in list(self.threads.items()):
            if one.marked() and thread.ident is not None:
                overtime.raise_in(thread.ident, channel.RequestEnded)

    def run(self) -> None:
        settings = self.settings
        try:
            if settings["once"]:
                self.app = late(settings)
            else:
                if self.app is None:
                    self.app = find(settings)
                after_fork(settings)
        except BaseException:
            self.channel.refuse(traceback.format_exc())
            sys.exit(1)
        self.fixed = fixed(settings)
        if self.control is not None:
            self.run_threads(self.control)
        else:
            output.Here.channel = self.channel
            self.serve(self.channel)
        if settings["preload"]:
            leave.leave(0)
        sys.exit(0)

    def serve(self, one: channel.Channel) -> None:
        assert self.app is not None
        try:
            one.announce()
            one.serve(self.app, self.fixed)
        except channel.RequestEnded:
            pass  # and this worker with it, in good order
        except (channel.MasterGone, OSError) as e:
            # Also where a child that the app forked returns into this loop.
            sys.stderr.write("worker stops: %s\n" % e)
            sys.stderr.flush()
            os._exit(1)

    def run_threads(self, control: Control) -> None:
        """A thread for each channel, until the master opens no more and the last has ended."""
        self.start(self.channel)
        more = True
        while more:
            try:
                more = control.fill()
                for message in control.messages():
                    self.start(self.open(message, *control.take(2)))
            except BaseException:  # of a signal handler of the app: what runs in the threads goes on
                sys.stderr.write("exception outside of any request\n%s" % traceback.format_exc())
        for thread in list(self.threads.values()):
            thread.join()

    def start(self, one: channel.Channel) -> None:
        # No daemon: the threads that an app starts would be daemons too, and be cut at the end.
        thread = threading.Thread(target=self.serve_thread, args=(one,), name="request-%d" % one.id)
        self.threads[one] = thread
        try:
            thread.start()
        except RuntimeError as e:  # the system has no more: the master sees the channel end
            sys.stderr.write("cannot start a thread: %s\n" % e)
            one.end()
            del self.threads[one]

    def serve_thread(self, one: channel.Channel) -> None:
        """The life of one thread.  However it ends, the master hears of it: the channel closes."""
        assert self.app is not None
        output.here.channel = one
        try:
            one.announce()
            one.serve(self.app, self.fixed)
        except channel.RequestEnded:
            pass
        except BaseException as e:
            if os.getpid() != self.pid:  # a child that the app forked has returned into this loop
                os._exit(1)
            what = "%s" % e if isinstance(e, (channel.MasterGone, OSError)) else traceback.format_exc()
            sys.stderr.write("a thread of the worker stops: %s\n" % what)
        finally:
            one.end()
            del self.threads[one]


def hold_lifeline(fd: int) -> None:
    """Have the kernel kill this process when the pipe's other end closes."""
    if not hasattr(fcntl, "F_SETSIG"):  # not Linux: the host's own kill has to do
        return
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(fd, 0)
    if poll.poll(0):  # it closed before it was armed
        os.kill(os.getpid(), signal.SIGKILL)


def describe(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return "killed by %s" % signal.Signals(number).name
        except ValueError:
            return "killed by signal %d" % number
    return "exited with status %d" % os.WEXITSTATUS(status)


def resolve(spec: str) -> Any:
    """The object that "module:name" or "module.name" names; "module:name()" is called for it."""
    call = spec.endswith("()")
    name = spec[:-2] if call else spec
    module, colon, path = name.partition(":")
    if not colon:
        module, _, path = name.rpartition(".")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found() if call else found


def find(settings: Message) -> channel.App:
    """Import the app."""
    app: channel.App = resolve(settings["wsgi"])
    if not callable(app):
        raise TypeError("%s is a %s, not a WSGI callable" % (settings["wsgi"], type(app).__name__))
    django_errors.listen()
    return app


def late(settings: Message) -> channel.App:
    """An app that is imported by its request: an import that fails is that request's error."""

    def application(environ: channel.Environ, start_response: Any) -> Any:
        importlib.invalidate_caches()
        app = find(settings)
        after_fork(settings)
        return app(environ, start_response)

    return application


def after_fork(settings: Message) -> None:
    if settings["after_fork"]:
        resolve(settings["after_fork"])()


def fixed(settings: Message) -> channel.Environ:
    """The part of every environ that is the same."""
    return channel.constants(settings["software"], settings["threads"] > 1, settings["multiprocess"], settings["once"])


def gil() -> bool:
    """Whether the lock is on; to be asked after the import, which may switch it back on."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return True if enabled is None else bool(enabled())


def load(host: Host) -> bool:
    """Import the app as the settings say, and tell the master how that went."""
    settings, control = host.settings, host.control
    if settings["preload"]:
        watch = preload.Watch()
        try:
            with watch:
                host.app = find(settings)
                if settings["warm_up"]:
                    warm.up(host.app, settings["warm_up"], fixed(settings))
        except BaseException:
            control.say("failed", traceback=traceback.format_exc())
            return False
        why = watch.unsafe()
        if why:
            control.say("unsafe", why=why)
            return False
        leave.remember()
        gc.freeze()  # without a collect: what is garbage now stays so, and no page is touched for it
    control.say(
        "ready",
        preloaded=settings["preload"],
        version=platform.python_version(),
        implementation=platform.python_implementation(),
        gil=gil(),
    )
    return True


def prepare() -> Tuple[Control, mmap.mmap, Message, bool]:
    """Take over what the master gave: descriptors, then the start message."""
    lifeline = has_lifeline()  # before any other descriptor is opened
    if lifeline:
        os.set_inheritable(LIFELINE, False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for fd in (CONTROL, PAGE):
        os.set_inheritable(fd, False)
    page = mmap.mmap(PAGE, 0)
    os.close(PAGE)
    control = Control(CONTROL)
    while True:
        if not control.fill():
            sys.exit(0)
        messages = control.messages()
        if messages:
            output.install(messages[0]["threads"] > 0)
            return control, page, messages[0], lifeline


def has_lifeline() -> bool:
    """Whether the kernel kills the host when the master is gone, also during an import that never ends."""
    try:
        return stat.S_ISFIFO(os.fstat(LIFELINE).st_mode)
    except OSError:
        return False


def ignore(number: int, frame: Any) -> None:
    """The host's handler of SIGTERM."""


def main() -> None:
    """Entry: python -c BOOTSTRAP NAME."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the master's to handle
    # So is a SIGTERM that a supervisor sends to every process of the service:
    # what runs must end first.  A handler, since what is ignored would stay so
    # in the programs that the app starts.
    signal.signal(signal.SIGTERM, ignore)
    control, page, settings, lifeline = prepare()
    os.chdir(settings["workdir"])
    sys.path.insert(0, settings["dir"])
    sys.argv[:] = [settings["name"]]
    host = Host(control, page, settings, lifeline)
    if not load(host):
        sys.stdout.flush()
        os._exit(1)  # what the import left behind must not delay the end
    child = host.run()
    if child is not None:
        child.run()
    os._exit(0)
