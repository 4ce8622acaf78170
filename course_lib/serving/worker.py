"""The worker: an engine in a thread of its own, for callers that must not wait for it.

A server answers many clients at once from one event loop, and a step of the model would stop that
loop. So the engine lives in a thread. Callers hand it small actions, which run between two steps;
what comes of a request is told to a listener, token by token.

Taught in:        serving
Checked against:  the engine itself; threads that come and go at random
Shapes:           none
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from course_lib.serving.engine import Engine, Event
from course_lib.serving.request import Job, Request

Result = TypeVar("Result")
Listener = Callable[[Event], None]  # runs in the worker's thread, so it only passes things on


class StoppedError(Exception):
    """The worker has ended and takes no more requests."""


class Worker:
    """Runs an engine until it is stopped; everything here may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: dict[Job, Listener] = {}
        self._actions: deque[tuple[Callable[[Engine], Any], Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> "Worker":
        """Begin to work."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End all requests, and the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def call(self, action: Callable[[Engine], Result]) -> "Future[Result]":
        """Let an action run between two steps; return its result when it is there."""
        future: Future[Result] = Future()
        with self._wake:
            if self._stopping:
                raise StoppedError("The server is stopping. Try again later.")
            self._actions.append((action, future))
            self._wake.notify()
        return future

    def submit(self, requests: list[Request], listener: Listener) -> "Future[list[Job]]":
        """Add requests, all or none; those with the same prompt share its blocks."""
        return self.call(lambda engine: self._add(engine, requests, listener))

    def cancel(self, jobs: list[Job]) -> None:
        """End these jobs; their listeners hear nothing more."""

        def end(engine: Engine) -> None:
            for job in jobs:
                self._listeners.pop(job, None)
                engine.cancel(job)

        with suppress(StoppedError):  # then everything has ended
            self.call(end)

    def _add(self, engine: Engine, requests: list[Request], listener: Listener) -> list[Job]:
        jobs: list[Job] = []
        parents: dict[tuple[int, ...], Job] = {}
        try:
            for request in requests:
                jobs.append(engine.add(request, parents.get(request.prompt)))
                parents.setdefault(request.prompt, jobs[-1])
        except Exception:
            for job in jobs:
                engine.cancel(job)
            raise
        self._listeners.update(dict.fromkeys(jobs, listener))
        return jobs

    def _work(self) -> None:
        while self._take_actions():
            try:
                events = self._engine.step()
            except Exception as error:  # a fault of the engine itself: nobody may wait for ever
                events = self._end_all(f"{type(error).__name__}: {error}")
            self._tell(events)
        self._tell(self._end_all("the server was stopped"))

    def _take_actions(self) -> bool:
        """Run what callers have asked for; return whether to go on."""
        with self._wake:
            while not (self._actions or self._engine.has_work or self._stopping):
                self._wake.wait()
            actions, going_on = list(self._actions), not self._stopping
            self._actions.clear()
        for action, future in actions:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(action(self._engine))
                except Exception as error:
                    future.set_exception(error)
        return going_on

    def _end_all(self, error: str) -> list[Event]:
        jobs = [*self._engine.scheduler.running, *self._engine.scheduler.waiting]
        for job in jobs:
            self._engine.cancel(job)
            job.error = error
        return [Event(job, [], "error") for job in jobs]

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            listener = self._listeners.get(event.job)
            if event.finish is not None:
                self._listeners.pop(event.job, None)
            if listener is not None:
                try:
                    listener(event)
                except Exception:  # its event loop is gone, so nobody reads this any more
                    self._listeners.pop(event.job, None)
                    self._engine.cancel(event.job)
