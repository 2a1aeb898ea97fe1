"""Serves a page to draw numbers on, and a call for programs, that read with what a run learned."""

import asyncio
import contextlib
import os
import signal
import socket
import types
from collections.abc import Iterator, Sequence

import numpy as np
import uvicorn
from absl import logging
from ml_collections import ConfigDict

from mnist3 import learners, tasks
from mnist3.data.processes import finders
from mnist3.errors import UserError
from mnist3.jobs import parts, workdir
from mnist3.jobs.arguments import Arguments
from mnist3.jobs.predict import make_folder
from mnist3.pictures import Limits, reader_of, shapes_read
from mnist3.web import answers, app, maps
from mnist3.web.drawings import Drawings
from mnist3.web.guard import LOOPBACK, hosts_of

LIMITS = Limits(sizes=(4, app.PICTURES), most_pixels=app.MOST_PIXELS)
GRACE_SECONDS = 5  # for requests that are being answered at the end


class Server(uvicorn.Server):
    """A server that ends at a signal without passing it on."""

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        """Ends the server once what is being read is read, at a second Ctrl-C at once."""
        super().handle_exit(sig, frame)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ends the server at Ctrl-C and SIGTERM for the length of the block."""
        names = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in names}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def run(config: ConfigDict, arguments: Arguments) -> int:
    """Serves until Ctrl-C or SIGTERM, with what the run in `arguments.workdir` has learned.

    Of a comparison it is the candidate that was chosen. Pictures are read once, without the moved
    views of `config.evaluation.shift`.

    Args:
        config: of that run.
        arguments: needs workdir.

    Returns:
        the exit status, 0.

    Raises:
        UserError: if the port cannot be had, the run reads no numbers or is not finished, or
            drawings cannot be saved where they should.
    """
    folder, config = workdir.chosen(str(arguments.workdir), config, arguments.replicate)
    task = parts.task_of(config)
    if task.number_lengths is None:
        raise UserError(
            f"the run in {folder} has learned the task {task.name}, which reads no numbers; "
            f"{tasks.readers_text()}."
        )
    drawings = None
    if arguments.save_drawings:
        make_folder(arguments.save_drawings, "the drawings", flag="save_drawings")
        drawings = Drawings(arguments.save_drawings, task.classes)
    lines = finders() if task.reads_lines else contextlib.nullcontext()
    with bound(arguments.host, arguments.port) as listener, lines as pool:
        moved = bool(config.evaluation.shift)
        config = config.copy_and_resolve_references()
        config.evaluation.shift = 0
        learned = learners.load(config, task, folder, arguments.checkpoint, arguments.allow_pickle)
        shapes = shapes_read(config, task, LIMITS)
        _warm_up(learned, shapes)
        fewest, most = task.number_lengths
        about = {
            "run": os.path.basename(os.path.abspath(str(arguments.workdir))),
            "task": task.name,
            "classes": list(task.classes),
            "digits": [fewest, most],
            "lines": task.reads_lines,
            "once": moved,
        }
        predict, read_lines = learned.predict, None
        read = answers.reader(task, reader_of(config, task, predict, False, LIMITS, pool))
        if task.reads_lines:
            read_lines = answers.reader(task, reader_of(config, task, predict, True, LIMITS, pool))
        of_layers = maps.reader(task, learned, {shape[1:] for shape in shapes})
        service = app.Service(read, task.classes, about, drawings, of_layers, read_lines)
        application = app.create(service, hosts_of(arguments.host))
        with _port_errors(arguments.host, arguments.port):
            listener.listen()
        print(_welcome(folder, arguments, listener), flush=True)
        server = Server(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        asyncio.run(server.serve([listener]))
    return 0


def _warm_up(learned: learners.Learned, shapes: Sequence[tuple[int, int, int]]) -> None:
    """Compiles every program that a picture can need, so that no request waits for one."""
    for place, shape in enumerate(shapes, 1):
        count, height, width = shape
        logging.info(
            "preparing program %d of %d: %d images of %d x %d px",
            *(place, len(shapes), count, width, height),
        )
        learned.predict(np.zeros(shape, np.uint8))


def _welcome(folder: str, arguments: Arguments, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    host = arguments.host
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    lines = [f"{folder} reads at http://{shown}:{port}/ (Ctrl-C ends it)"]
    if host.lower() not in LOOPBACK:
        lines.append(f"Whoever reaches this machine can use it, since --host={host} lets them in.")
    if arguments.save_drawings:
        lines.append(f"Drawings are saved in {arguments.save_drawings}.")
    return "\n".join(lines)


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Takes a port, before long work, for the length of the block; listens not yet.

    Args:
        host: name or address of this machine.
        port: 0 for any that is free.

    Raises:
        UserError: if it is taken, or not to be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UserError(
            f"--host={host} is no address of this machine ({error.strerror}); leave it out for "
            "127.0.0.1, or give 0.0.0.0 for all."
        ) from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _port_errors(host, port):
            listener.bind(address)
        yield listener


@contextlib.contextmanager
def _port_errors(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot listen on port {port} of {host}: {error.strerror}; give another with "
            "--port, such as --port=8001, or 0 for any that is free."
        ) from error
