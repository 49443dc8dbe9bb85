"""Drives a real uvicorn server behind a proxy's headers and keeps its access lines as a log shipper would.

Run as a program: ``python uvicorn_client.py LINES [colours]``. A time stands before every line.
"""

import asyncio
import contextlib
import datetime as dt
import http.client
import io
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn

CLIENTS = ("203.0.113.7", "203.0.113.8", "2001:db8::7")


async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    status = 429 if scope["path"].startswith("/v1/busy") else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def main(path: str, *, colours: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            answer, proxy_headers=True, forwarded_allow_ips="*", lifespan="off", use_colors=colours, log_level="info"
        )
        server = uvicorn.Server(config)
        serving = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        serving.start()
        for client in CLIENTS:
            for method, asked in (("POST", "/v1/chat/completions?stream=1"), ("POST", "/v1/busy"), ("GET", "/health")):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request(method, asked, headers={"x-forwarded-for": client})
                connection.getresponse().read()
                connection.close()
        server.should_exit = True
        serving.join()
    now = dt.datetime(2026, 11, 24, 5, 52, 28, tzinfo=dt.UTC)
    lines = [f"{now.isoformat()} {line}" for line in said.getvalue().splitlines()]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        main(sys.argv[1], colours="colours" in sys.argv[2:])
