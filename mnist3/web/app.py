"""The application: a page, and the calls that it and other programs make."""

import asyncio
import contextlib
import importlib.metadata
import importlib.resources
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mnist3.data.images import UnreadableImage
from mnist3.errors import UserError
from mnist3.web import answers, openapi
from mnist3.web.drawings import Drawings
from mnist3.web.guard import HEADERS, Guard, Hosts
from mnist3.web.maps import Maps
from mnist3.web.queue import Full, Queue

PICTURE_BYTES = 20_000_000
REQUEST_BYTES = 100_000_000
HELD_BYTES = 500_000_000  # of all requests together
MOST_PIXELS = 64_000_000
PICTURES = 32  # of a request, and of a batch
WAITING = 256  # pictures
ARRIVAL_SECONDS = 30.0
ANSWER_SECONDS = 60.0
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/server.js": ("server.js", "text/javascript"),
}

Call = Callable[[Request], Awaitable[Response]]


class Service(NamedTuple):
    """What is served.

    Attributes:
        read: from the contents of picture files to the answer for each.
        classes: that numbers are made of.
        about: what `/healthz` says of it beside its status.
        drawings: where pictures are saved; None where they are not.
        maps: from an image as the network saw it to its feature maps; None where there are none.
        read_lines: likewise to the answers for every line; None where no lines are read.
    """

    read: answers.Read
    classes: tuple[str, ...]
    about: Mapping[str, Any]
    drawings: Drawings | None = None
    maps: Maps | None = None
    read_lines: answers.Read | None = None


class Refused(Exception):
    """A request that is answered with a sentence alone."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class _Held:
    """How many bytes all requests hold."""

    def __init__(self) -> None:
        self.bytes = 0


def create(service: Service, hosts: Hosts) -> Starlette:
    """Returns the application.

    Args:
        service: what is served.
        hosts: by which names it may be asked.
    """
    queues = [Queue(read, PICTURES, WAITING) for read in (service.read, service.read_lines) if read]

    def maps_of(images: list[UInt8[np.ndarray, "height width"]]) -> list[list[dict[str, Any]]]:
        assert service.maps is not None
        return [service.maps(image) for image in images]

    maps = Queue(maps_of, PICTURES, WAITING)
    held = _Held()

    async def read(request: Request) -> Response:
        by_line = _asks_for(request, "lines")
        if by_line and service.read_lines is None:
            raise Refused(400, "this run reads pictures as a whole; ask without lines=1.")
        async with _form(request, held) as form:
            found = await _answered(request, described(request, form.pictures, by_line))
        if found is None:
            return Response(status_code=499)  # nobody is there to get it
        return found

    async def described(request: Request, pictures: list[bytes], by_line: bool) -> Response:
        found = await queues[by_line].read(pictures)
        of_pictures = []
        for lines in found:
            fields = [await fields_of(answer, request) for answer in lines]
            of_pictures.append({"lines": fields} if by_line else fields[0])
        if len(of_pictures) > 1:
            return JSONResponse(of_pictures)
        return JSONResponse(of_pictures[0], 200 if found[0][0].is_picture else 422)

    async def fields_of(answer: answers.Answer, request: Request) -> dict[str, Any]:
        fields = answers.as_json(answer, service.classes, _asks_for(request, "views"))
        if _asks_for(request, "maps"):
            fields["maps"] = []
            if service.maps is not None and answer.image is not None:
                (fields["maps"],) = await maps.read([answer.image])
        return fields

    async def save(request: Request) -> Response:
        assert service.drawings is not None
        async with _form(request, held) as form:
            if len(form.pictures) != 1 or form.number is None:
                raise Refused(400, "give one picture as image and its number as number.")
            try:
                name = await asyncio.to_thread(
                    service.drawings.save, form.pictures[0], form.number.strip(), MOST_PIXELS
                )
            except (UserError, UnreadableImage) as error:
                raise Refused(422, str(error)) from error
        return JSONResponse({"file": name}, 201)

    async def healthz(request: Request) -> Response:
        del request
        can = {"saves": service.drawings is not None, "maps": service.maps is not None}
        return JSONResponse({"status": "ok", **service.about, **can})

    description = openapi.document(
        importlib.metadata.version("mnist3"), service.drawings is not None
    )

    async def describe(request: Request) -> Response:
        del request
        return JSONResponse(description)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        works = [asyncio.create_task(queue.work()) for queue in (*queues, maps)]
        try:
            yield
        finally:
            for work in works:
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work

    routes = [Route(path, _file(*each)) for path, each in FILES.items()]
    routes += [
        Route("/read", read, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/openapi.json", describe),
    ]
    if service.drawings is not None:
        routes.append(Route("/drawings", save, methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={
            Refused: _refuse,
            404: _not_found,
            405: _not_found,
            Exception: _failed,
        },
        lifespan=lifespan,
    )


def _asks_for(request: Request, name: str) -> bool:
    return request.query_params.get(name, "0") not in ("", "0")


def _file(name: str, media_type: str) -> Call:
    content = importlib.resources.files("mnist3.web").joinpath(name).read_bytes()

    async def send(request: Request) -> Response:
        del request
        return Response(content, media_type=media_type)

    return send


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Refused)
    busy = error.status == 503
    return JSONResponse(
        {"error": error.sentence}, error.status, {"Retry-After": "1"} if busy else None
    )


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse(
        {
            "error": f"there is no {request.method} {request.url.path} here; /openapi.json lists "
            "what there is."
        },
        getattr(error, "status_code", 404),
    )


async def _failed(request: Request, error: Exception) -> Response:
    """Answers where there is a fault of ours, outside the guard; the server logs it."""
    del request, error
    sentence = "the server has failed at this and goes on with others; its log says why."
    return JSONResponse({"error": sentence}, 500, HEADERS)


class _Form(NamedTuple):
    pictures: list[bytes]
    number: str | None = None


@contextlib.asynccontextmanager
async def _form(request: Request, held: _Held) -> AsyncIterator[_Form]:
    """Gives the pictures of a request, whose bytes count as held for the length of the block.

    Raises:
        Refused: if there is none, or too much of anything.
    """
    size = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal size
        async for chunk in request.stream():
            size += len(chunk)
            held.bytes += len(chunk)
            if size > REQUEST_BYTES:
                raise Refused(
                    413,
                    f"the request has more than {REQUEST_BYTES / 1e6:.0f} MB; send fewer pictures "
                    "at a time.",
                )
            if held.bytes > HELD_BYTES:
                raise Refused(503, "too many pictures are waiting; ask again in a second.")
            yield chunk

    try:
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                form = await _parsed(request, chunks())
        except TimeoutError as error:
            raise Refused(
                408, f"the request took longer than {ARRIVAL_SECONDS:.0f} s to arrive; try again."
            ) from error
        except ClientDisconnect as error:
            raise Refused(400, "the request has broken off; send it again.") from error
        _require_pictures(form.pictures)
        yield form
    finally:
        held.bytes -= size


async def _parsed(request: Request, chunks: AsyncIterator[bytes]) -> _Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        content = b"".join([chunk async for chunk in chunks])
        return _Form([content] if content else [])
    parser = MultiPartParser(
        request.headers,
        chunks,  # type: ignore[arg-type]  # any iterator will do
        max_files=PICTURES + 1,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = getattr(error, "message", "it names no boundary")
        raise Refused(400, f"the multipart request is not as it should be: {reason}") from error
    try:
        images = form.getlist("image")
        if not all(isinstance(each, UploadFile) for each in images):
            raise Refused(400, "a field image has no file name; send it as a file.")
        pictures = [await each.read() for each in images if isinstance(each, UploadFile)]
        number = form.get("number")
        return _Form(pictures, number if isinstance(number, str) else None)
    finally:
        await form.close()


def _require_pictures(pictures: list[bytes]) -> None:
    if not any(pictures):
        raise Refused(
            400, "the request holds no picture; send one as multipart field image or as the body."
        )
    if len(pictures) > PICTURES:
        raise Refused(
            413, f"the request holds more than {PICTURES} pictures; send fewer at a time."
        )
    for place, picture in enumerate(pictures, 1):
        if len(picture) > PICTURE_BYTES:
            raise Refused(
                413,
                f"picture {place} has {len(picture) / 1e6:.0f} MB, and at most "
                f"{PICTURE_BYTES / 1e6:.0f} MB are read; scale it down.",
            )


async def _answered(request: Request, reading: Awaitable[Response]) -> Response | None:
    """Returns the answer; None if whoever asked has gone, who may draw on meanwhile."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(reading), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(tasks, timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return await tasks[0]
        if tasks[1].done():
            return None
        raise Refused(503, f"nothing was read within {ANSWER_SECONDS:.0f} s; ask again later.")
    except Full as error:
        raise Refused(503, "too many pictures are waiting; ask again in a second.") from error
    finally:
        for task in tasks:
            task.cancel()
