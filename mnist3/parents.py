"""The parent of each process that trains with others: it says which of them was lost.

Where one of them dies, JAX leaves the others waiting, or aborts them with pages of its own. So each
is started by a parent, which imports nothing but Python's library and computes nothing. The parents
are connected to that of the first process. One that sees its child die, or loses another parent,
tells the rest; each ends its child and says last what was lost and what to do.
"""

import contextlib
import json
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

VARIABLE = "MNIST3_PARENT"  # how a child reaches its parent: descriptor, port and token
GRACE = 3.0  # s in which a process may end by itself that cannot go on without another
PATIENCE = 3 * GRACE  # s that a child waits with an error that may follow from another's loss
CONNECT_SECONDS = 20
POLL_SECONDS = 0.05  # how often a parent looks whether its child has ended
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}  # s, s, times: a host's loss
TOGETHER = (  # what to do where processes do not come together
    "waited for the others of the same training: start the same command in each of them, see that "
    "the first can be reached, on the port of --coordinator if that is given, or train in one "
    "process with --distributed=off"
)
STOPPING = (signal.SIGINT, signal.SIGTERM)

Address = tuple[str, int, str]  # host, port and token of the first process's parent


class Lost(NamedTuple):
    """A process that is no more.

    Attributes:
        process: its number.
        status: with which it ended, below 0 the signal that killed it; None if nobody knows, as its
            parent or its host is gone too.
    """

    process: int
    status: int | None

    @property
    def stopped_by(self) -> signal.Signals | None:
        """The signal that asked it to stop, None without one; it may not have handled it."""
        return next((each for each in STOPPING if self.status in (-each, 128 + each)), None)

    @property
    def killed(self) -> bool:
        """Whether it had no time to end well; one that JAX aborted may have lost another first.

        A signal that asks to stop comes to all in a cluster, and the first may be saving for it.
        """
        if self.status is None:
            return True
        return self.status < 0 and self.status != -signal.SIGABRT and self.stopped_by is None

    @property
    def exit_status(self) -> int:
        """With which those end that are ended for it: as it was asked to stop, or else 1."""
        return 1 if self.stopped_by is None else 128 + self.stopped_by

    @property
    def reason(self) -> str:
        """How it was lost, in brackets."""
        if self.status is None:
            return "its host, the network to it or the process that had started it"
        if self.stopped_by is not None:
            return f"stopped by {self.stopped_by.name}"
        if self.status < 0:
            return f"killed by signal {-self.status}, {signal.Signals(-self.status).name}"
        return f"ended with status {self.status}, for a reason that it has told itself"


def main(cluster: str | None, argv: Sequence[str]) -> int | None:
    """Runs this command in a child where it may be one of several, and returns its exit status.

    Args:
        cluster: in which this process stands, see `mnist3.hosts.cluster`; None for none.
        argv: the program and its arguments.

    Returns:
        None where the command is to run in this process.
    """
    told = _value(argv, "coordinator") is not None
    if VARIABLE in os.environ or _value(argv, "distributed") == "off" or not (cluster or told):
        return None
    return _Parent(_value(argv, "workdir") is not None).run()


def _value(argv: Sequence[str], flag: str) -> str | None:
    """Returns what a command line gives as a flag, None if it does not."""
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name == flag:
            return value if equals else after
    return None


class Link(NamedTuple):
    """What a child has of its parent.

    Attributes:
        connection: to it; ends with it.
        port: on which the parent can be reached, if it is that of the first process.
        token: that who comes there has to know.
    """

    connection: socket.socket
    port: int
    token: str


def link() -> Link | None:
    """Returns the link to the parent of this process, None without a parent; once."""
    if VARIABLE not in os.environ:
        return None
    descriptor, port, token = os.environ.pop(VARIABLE).split(":")
    return Link(socket.socket(fileno=int(descriptor)), int(port), token)


def introduce(own: Link, process: int, processes: int, address: Address | None) -> None:
    """Tells the parent of this process which it is; this process ends from now on with its parent.

    Args:
        own: link to the parent.
        process: its number.
        processes: how many there are.
        address: of the first process's parent; None if it has none.
    """
    _Peer(own.connection).send([process, processes, address])

    def follow() -> None:
        with contextlib.suppress(OSError):
            own.connection.recv(1)  # nothing comes but the end
        os._exit(128 + signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


class _Peer:
    """A connection over which lines of JSON come and go."""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.process: int | None = None  # whose it is, once that is known
        self._begun = b""

    def send(self, message: object) -> None:
        """Sends a message, which is lost where nobody is left to get it."""
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list | None:
        """Returns the messages that have come, None if none will come any more."""
        try:
            content = self.connection.recv(1 << 16)
        except OSError:
            content = b""
        if not content:
            return None
        *lines, self._begun = (self._begun + content).split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except (ValueError, RecursionError):  # nobody of this run
            return None


class _Parent:
    """The parent of one process.

    Args:
        named: whether the command names the workdir, so that it can simply be run again.
    """

    def __init__(self, named: bool):
        self._named = named
        self._token = secrets.token_hex(16)
        self._selector = selectors.DefaultSelector()
        self._listening = _listen()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._process, self._processes = 0, 0
        self._peers: list[_Peer] = []  # of the first process those of all others, else that one's
        self._ended: dict[int, int | None] = {}  # status of those that are known to have
        self._lost: Lost | None = None  # the first that was
        self._deadline = 0.0  # when the child is ended for it

    def run(self) -> int:
        """Runs the command in a child and returns its exit status, or 1 if another was lost."""
        ours, theirs = socket.socketpair()
        port = self._listening.getsockname()[1]
        with theirs:
            environment = {VARIABLE: f"{theirs.fileno()}:{port}:{self._token}"}
            child = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env=os.environ | environment,
                pass_fds=[theirs.fileno()],
            )
        self._child = _Peer(ours)
        self._selector.register(ours, selectors.EVENT_READ)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: child.send_signal(number))
        while child.poll() is None:
            self._look()
            if self._lost is not None and time.monotonic() > self._deadline:
                child.kill()
        return self._after(child.wait())

    def _after(self, status: int) -> int:
        """Tells the others how the child ended, says what was lost, and returns the exit status."""
        if not self._processes:  # it trained alone, or has not come so far
            if status == -signal.SIGABRT:
                print(f"Error: JAX ended this process while it {TOGETHER}.", file=sys.stderr)
                return 1
            return 128 - status if status < 0 else status
        own = Lost(self._process, status)
        if status and not own.killed:  # perhaps since another was lost: who will tell
            until = time.monotonic() + GRACE
            while status == -signal.SIGABRT and self._lost is None and time.monotonic() < until:
                self._look()
        self._tell(own.process, status)
        if self._lost is None and status < 0:
            self._lost = own
        if status < 0 and self._lost is not None:
            self._say(self._lost)
            return self._lost.exit_status
        return status

    def _look(self) -> None:
        """Hears what has come in."""
        for key, _ in self._selector.select(POLL_SECONDS):
            if key.fileobj is self._listening:
                self._accept()
            elif key.fileobj is self._child.connection:
                self._hear_child()
            else:
                self._hear(next(each for each in self._peers if each.connection is key.fileobj))

    def _hear_child(self) -> None:
        messages = self._child.receive()
        if messages is None:
            self._selector.unregister(self._child.connection)
            return
        for self._process, self._processes, address in messages:
            if self._process and address is not None:
                self._connect(*address)

    def _connect(self, host: str, port: int, token: str) -> None:
        try:
            connection = socket.create_connection((host, port), CONNECT_SECONDS)
        except OSError:  # then JAX alone finds out, later
            return
        connection.settimeout(None)
        peer = self._add(connection)
        peer.process = 0
        peer.send([token, self._process])

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        self._add(connection)

    def _add(self, connection: socket.socket) -> _Peer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        peer = _Peer(connection)
        self._peers.append(peer)
        self._selector.register(connection, selectors.EVENT_READ)
        return peer

    def _hear(self, peer: _Peer) -> None:
        """Hears another parent, or that it is gone."""
        messages = peer.receive()
        for message in messages or ():
            if peer.process is None:
                if not isinstance(message, list) or message[:1] != [self._token]:
                    messages = None  # nobody of this run
                    break
                peer.process = message[1]
                for known in self._ended.items():
                    peer.send(known)
                continue
            self._learn(*message)
        if messages is None:
            self._selector.unregister(peer.connection)
            peer.connection.close()
            self._peers.remove(peer)
            if peer.process is not None and peer.process not in self._ended:
                self._learn(peer.process, None)

    def _learn(self, process: int, status: int | None) -> None:
        """Takes in how a process ended, and passes it on."""
        self._ended[process] = status
        self._tell(process, status)
        if status != 0 and self._lost is None:
            self._lost = Lost(process, status)
            self._deadline = time.monotonic() + (0 if self._lost.killed else GRACE)

    def _tell(self, process: int, status: int | None) -> None:
        """Tells the others how a process ended, by way of the first one's parent."""
        for peer in self._peers:
            if process == self._process or self._process == 0:
                peer.send([process, status])

    def _say(self, lost: Lost) -> None:
        folder = "" if self._named else ", with --workdir set to the run's folder"
        print(
            f"Error: process {lost.process} of {self._processes} was lost ({lost.reason}); run "
            f"the same command in all of them to go on from the last checkpoint{folder}.",
            file=sys.stderr,
            flush=True,
        )


def _listen() -> socket.socket:
    """Returns what the parents of other processes can connect to, on any address of this host."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))
