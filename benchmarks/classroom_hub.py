"""A JupyterHub with many learners, driven through its proxy as their browsers would.

The hub runs with the configuration that `course class hub` writes, plus a token for this program.
"""

import asyncio
import json
import secrets
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from course_lib.authoring.source import SETUP
from course_lib.study.teaching.hub_files import write_hub_files

PATIENCE = 600.0  # seconds until anything counts as lost
FOR_THIS_PROGRAM = """
c.JupyterHub.bind_url = "http://127.0.0.1:{front}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.JupyterHub.log_level = "WARN"
c.JupyterHub.services = [{{"name": "classroom", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{
    "name": "classroom",
    "services": ["classroom"],
    "scopes": ["admin:users", "admin:servers", "access:servers"],
}}]
"""


class Hub:
    """A running hub, asked over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, secrets.token_hex(16)
        config = write_hub_files(folder, sys.executable)
        ports = dict(zip(("front", "hub", "proxy"), _free_ports(3), strict=True))
        with config.open("a", encoding="utf-8") as file:
            file.write(FOR_THIS_PROGRAM.format(token=self.token, **ports))
        self.address = f"127.0.0.1:{ports['front']}"
        self.process: psutil.Popen | None = None
        AsyncHTTPClient.configure(None, max_clients=200)

    async def ask(self, path: str, method: str = "GET", content: Any = None) -> Any:
        """Return the answer to a request as Python objects."""
        answer = await AsyncHTTPClient().fetch(
            HTTPRequest(
                f"http://{self.address}{path}",
                method=method,
                headers={"Authorization": f"token {self.token}"},
                body=None if content is None else json.dumps(content),
                request_timeout=PATIENCE,
                allow_nonstandard_methods=True,
            )
        )
        return json.loads(answer.body) if answer.body else None

    def start(self) -> None:
        with (self.folder / "hub.log").open("wb") as log:
            command = [sys.executable, "-m", "jupyterhub"]
            self.process = psutil.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    async def wait(self) -> None:
        """Wait until the hub answers, or raise with its log."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await self.ask("/hub/api/")
                return
            except (OSError, HTTPClientError) as problem:
                gone = self.process is None or self.process.poll() is not None
                if gone or time.monotonic() > end:
                    raise RuntimeError(f"the hub did not start:\n{self.log()}") from problem
            await asyncio.sleep(0.2)

    def log(self) -> str:
        """Return the end of what the hub and the servers have said."""
        return (self.folder / "hub.log").read_text(encoding="utf-8")[-3000:]

    def stop(self) -> None:
        """End the hub, its proxy, and every server and kernel below it."""
        if self.process is None or not self.process.is_running():
            return
        everything = [*self.process.children(recursive=True), self.process]
        self.process.terminate()
        _, alive = psutil.wait_procs(everything, timeout=30)
        for each in alive:
            each.kill()

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Return the running processes by what they are."""
        assert self.process is not None
        found: dict[str, list[psutil.Process]] = {"hub": [self.process], "server": [], "kernel": []}
        for each in self.process.children(recursive=True):
            words = " ".join(each.cmdline())
            kind = next((k for k, mark in MARKS.items() if mark in words), "hub")
            found[kind].append(each)
        return found


MARKS = {"kernel": "ipykernel", "server": "jupyterhub.singleuser"}


class Learner:
    """One learner with a server, and a kernel to which a websocket is open."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub, self.name = hub, name
        self.socket: WebSocketClientConnection | None = None

    async def start_server(self) -> None:
        """Log in, and wait until the server answers."""
        await self.hub.ask(f"/hub/api/users/{self.name}/server", "POST", {})
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            about = await self.hub.ask(f"/hub/api/users/{self.name}")
            if about["servers"].get("", {}).get("ready"):
                return
            if not about["servers"]:
                break
            await asyncio.sleep(2)
        raise RuntimeError(f"the server of {self.name} did not start:\n{self.hub.log()}")

    async def imports(self, stem: str) -> str:
        """Return the code with which the learner's own copy of a notebook begins, after the setup.

        The setup does nothing where the course is installed.
        """
        found = await self.hub.ask(f"/user/{self.name}/api/contents/{stem}.ipynb")
        code = [cell for cell in found["content"]["cells"] if cell["cell_type"] == "code"]
        return next(cell["source"] for cell in code if cell["id"] != SETUP)

    async def start_kernel(self) -> None:
        kernel = await self.hub.ask(
            f"/user/{self.name}/api/kernels", "POST", {"name": "python3", "path": ""}
        )
        place = f"/user/{self.name}/api/kernels/{kernel['id']}/channels"
        self.socket = await websocket_connect(
            HTTPRequest(
                f"ws://{self.hub.address}{place}",
                headers={"Authorization": f"token {self.hub.token}"},
                connect_timeout=PATIENCE,
            ),
            max_message_size=100_000_000,
        )

    async def run(self, code: str) -> tuple[float | None, str | None]:
        """Run a cell; return after how many seconds feedback came, and the outcome in it."""
        seconds = outcome = None
        begin = time.monotonic()
        async for kind, content in self._answers(code):
            if kind in ("display_data", "execute_result") and "outcome" in content["metadata"]:
                seconds, outcome = time.monotonic() - begin, content["metadata"]["outcome"]
            elif kind == "error":
                raise RuntimeError(f"{self.name}: {content['ename']}: {content['evalue']}")
        return seconds, outcome

    async def _answers(self, code: str) -> AsyncIterator[tuple[str, Any]]:
        """Send a cell, and yield what comes back until the kernel is idle again."""
        assert self.socket is not None
        number = uuid.uuid4().hex
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        header = {"msg_id": number, "msg_type": "execute_request", "version": "5.3"}
        header |= {"session": self.name, "username": self.name, "date": ""}
        parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self.socket.write_message(json.dumps({**parts, "channel": "shell"}))
        while True:
            text = await self.socket.read_message()
            if text is None:
                raise RuntimeError(f"the kernel of {self.name} is gone")
            message = json.loads(text)
            if message["parent_header"].get("msg_id") != number:
                continue
            yield message["msg_type"], message["content"]
            if message["content"].get("execution_state") == "idle":
                return


@asynccontextmanager
async def running_hub(folder: Path) -> AsyncIterator[Hub]:
    """Start a hub in this folder, and end everything that it started."""
    hub = Hub(folder)
    hub.start()
    try:
        await hub.wait()
        yield hub
    finally:
        hub.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
