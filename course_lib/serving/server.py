"""`course serve`: a model that answers OpenAI's HTTP API, for any client that speaks it.

    GET  /v1/models                 which model is here
    POST /v1/completions            continue a text
    POST /v1/chat/completions       answer a conversation
    GET  /metrics                   numbers for Prometheus
    GET  /                          a page that shows what is happening

The event loop reads requests and writes answers; the engine works in a thread of its own. A client
that leaves cancels its request, so that its blocks are free for others. A slow one holds up nobody:
what it has not read yet waits in its own queue.

Taught in:        serving
Checked against:  the official `openai` client; a browser
Shapes:           none
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from course_lib.generation.text_model import TextModel
from course_lib.serving.engine import Engine, Event, OverloadedError
from course_lib.serving.fields import BadRequestError
from course_lib.serving.protocol import Asked, Reader
from course_lib.serving.replies import Reply, error_body
from course_lib.serving.request import Job
from course_lib.serving.statistics import snapshot
from course_lib.serving.worker import StoppedError, Worker

PAGE = Path(__file__).with_name("page.html")
LONGEST_BODY = 4 * 2**20  # bytes
GRACE = 30  # seconds for running answers when the server is stopped
LOOK = 0.5  # seconds between looks whether a silent client is still there


class Service:
    """The HTTP side of one engine: an ASGI application in `app`."""

    def __init__(
        self, model: TextModel, engine: Engine, name: str, api_key: str | None = None
    ) -> None:
        self.reader, self.name, self.api_key = Reader(model, name), name, api_key
        self.worker = Worker(engine)
        self.app = Starlette(
            routes=[
                Route("/", self.page),
                Route("/status", self.status),
                Route("/metrics", self.metrics),
                Route("/v1/models", self.guarded(self.models)),
                Route("/v1/models/{name:path}", self.guarded(self.model)),
                Route("/v1/completions", self.guarded(self.completions), methods=["POST"]),
                Route("/v1/chat/completions", self.guarded(self.chat), methods=["POST"]),
            ],
            exception_handlers={404: _not_found, 405: _not_found},
            lifespan=self.lifespan,
        )

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Let the engine work as long as the server runs."""
        self.worker.start()
        yield
        await asyncio.to_thread(self.worker.stop)

    def guarded(self, handler: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
        """Return the handler with the key checked first, and faults answered in OpenAI's form."""

        async def handle(request: HttpRequest) -> Response:
            try:
                self._check_key(request)
                answer: Response = await handler(request)
                return answer
            except BadRequestError as error:
                kind = "invalid_request_error"
                return JSONResponse(error_body(str(error), kind, error.field), error.status)
            except ValueError as error:  # what the engine cannot ever do
                return JSONResponse(error_body(str(error), "invalid_request_error"), 400)
            except OverloadedError as error:
                body = error_body(str(error), "rate_limit_error")
                return JSONResponse(body, 429, headers={"Retry-After": "1"})
            except StoppedError as error:
                return JSONResponse(error_body(str(error), "server_error"), 503)

        return handle

    def _check_key(self, request: HttpRequest) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.api_key and not hmac.compare_digest(given.encode(), self.api_key.encode()):
            raise BadRequestError(
                "this server needs its key, as the header `Authorization: Bearer KEY`.", None, 401
            )

    async def page(self, request: HttpRequest) -> Response:
        """Answer with the page that shows what is happening."""
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    async def status(self, request: HttpRequest) -> Response:
        """Answer with what the page shows; no text of any request is in it."""
        return JSONResponse(await asyncio.wrap_future(self.worker.call(snapshot)))

    async def metrics(self, request: HttpRequest) -> Response:
        """Answer with the numbers for Prometheus."""
        text = await asyncio.wrap_future(
            self.worker.call(lambda engine: engine.statistics.prometheus(engine.scheduler))
        )
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, request: HttpRequest) -> Response:
        """Answer with the list of models: this one."""
        return JSONResponse({"object": "list", "data": [self._about()]})

    async def model(self, request: HttpRequest) -> Response:
        """Answer with what is known about a model."""
        self.reader.check_model(request.path_params["name"])
        return JSONResponse(self._about())

    def _about(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": 0, "owned_by": "course"}

    async def completions(self, request: HttpRequest) -> Response:
        """Continue a text."""
        return await self._generate(request, chat=False)

    async def chat(self, request: HttpRequest) -> Response:
        """Answer a conversation."""
        return await self._generate(request, chat=True)

    async def _generate(self, request: HttpRequest, chat: bool) -> Response:
        body = await _json_body(request)
        # Encoding a long prompt or compiling a schema takes a while, and others are waiting.
        asked = await asyncio.to_thread(self.reader.read, body, chat)
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event]()

        def tell(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        jobs = await asyncio.wrap_future(self.worker.submit(asked.requests, tell))
        heard = self._events(request, jobs, events)
        if asked.stream:
            return StreamingResponse(
                _stream(Reply(asked, jobs), heard),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache"},
            )
        return await _whole(asked, jobs, heard)

    async def _events(
        self, request: HttpRequest, jobs: list[Job], events: asyncio.Queue[Event]
    ) -> AsyncIterator[Event]:
        """Yield the events of these jobs until all have ended, or their client has left."""
        left, clock = len(jobs), asyncio.get_running_loop().time
        looked = clock()
        try:
            while left:
                with suppress(TimeoutError):
                    event = await asyncio.wait_for(events.get(), LOOK)
                    left -= event.finish is not None
                    yield event
                if clock() - looked >= LOOK:
                    looked = clock()
                    if await request.is_disconnected():
                        return
        finally:
            self.worker.cancel(jobs)  # nothing happens to those that have ended


async def _stream(reply: Reply, heard: AsyncIterator[Event]) -> AsyncIterator[str]:
    """Yield an answer as server-sent events."""
    for text in reply.first_events():
        yield text
    async for event in heard:
        text_or_none = reply.event(event)
        if text_or_none is not None:
            yield text_or_none
    for text in reply.last_events():
        yield text


async def _whole(asked: Asked, jobs: list[Job], heard: AsyncIterator[Event]) -> Response:
    """Return an answer when all of it is there."""
    reply = Reply(asked, jobs)
    texts = {choice.job: "" for choice in reply.choices}
    choices = {choice.job: choice for choice in reply.choices}
    async for event in heard:
        texts[event.job] += choices[event.job].take(event)
    if reply.error is not None:
        return JSONResponse(error_body(reply.error, "server_error"), 500)
    if not reply.ended:
        return Response(status_code=499)  # the client has left; nobody reads this
    return JSONResponse(reply.whole(list(texts.values())))


async def _json_body(request: HttpRequest) -> Any:
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > LONGEST_BODY:
            raise BadRequestError(f"a body has at most {LONGEST_BODY} bytes.", None, 413)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body must be JSON; {error}.") from error


async def _not_found(request: HttpRequest, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    text = f"there is no {request.method} {request.url.path} here; see /v1/models."
    return JSONResponse(error_body(text, "invalid_request_error"), status)


def serve(service: Service, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until Ctrl-C or SIGTERM; running answers are finished first."""
    config = uvicorn.Config(
        service.app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE
    )
    uvicorn.Server(config).run()
