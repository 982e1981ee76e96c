"""The story of `python -m fancnn.serve`: open the exported file, take a port, answer until stopped."""

import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fancnn.errors import NotFiniteError, UserError
from fancnn.inference.exported_model import ExportedModel
from fancnn.serve.hosts import is_local
from fancnn.serve.settings import ServeSettings
from fancnn.system import interruption
from fancnn.system.console import say
from fancnn.system.memory import share_one_arena

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fancnn.serve.connections import Connections

STOP_SECONDS = 30  # for requests under way, when it is stopped


def serve(settings: ServeSettings) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those under way are then finished.

    Raises:
        UserError: If a setting is wrong, the model cannot be opened, the port is taken or a package is missing.
    """
    settings.validate_paths()
    share_one_arena()
    model = ExportedModel(settings.file, image_limits=settings.image_limits)
    app = application(model, settings)
    with taken_port(settings.host, settings.port) as listener:
        connections = _connections(settings)
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(f"{model.path.name} {model.sha256[:12]}: {model.thresholds.in_words()}")
        if connections.most < settings.limits.connections:
            say(f"at most {connections.most} connections at once: this process may open no more files (ulimit -n)")
        reached = "" if is_local(settings.host) else settings.host
        if not settings.token and (reached or settings.proxy):
            by = reached or f"the proxy {settings.proxy}"
            say(f"no token is asked for: whoever reaches {by} may use it (token=... or FANCNN_TOKEN)")
        say(f"serving on http://{host}:{port}/")
        _run(app, listener, connections, settings.proxy)


def application(model: ExportedModel, settings: ServeSettings) -> "FastAPI":
    """Return the application that `settings` describe.

    Raises:
        UserError: If a package is missing, or it is not known what to expect of the golden images.
    """
    try:
        from fancnn.serve.app import Routes, server_app
    except ModuleNotFoundError as error:
        raise UserError(
            f'serving needs {error.name}, which is not installed: pip install "fancnn[serve]", or, where there is to '
            "be no torch, pip install fastapi uvicorn httptools uvloop python-multipart prometheus-client"
        ) from error
    from fancnn.serve.golden_images import known_golden, validate_golden
    from fancnn.serve.inspector import Inspector
    from fancnn.serve.service import Service

    limits = settings.limits
    golden = None
    if settings.golden:
        folder = Path(settings.golden).expanduser()
        # a slip of the keyboard is reported here, and not by a server that never decides
        if warning := known_golden(model, folder):
            say(f"warning: {warning}")
        golden = partial(validate_golden, model, folder)
    service = Service(
        Inspector(model, limits.formats, limits.request_megapixels),
        workers=settings.workers,
        queue=limits.queue,
        seconds=limits.seconds,
        per_client=limits.per_client,
        golden=golden,
        golden_seconds=3600 * settings.golden_hours,
        broken=_self_check(model),
    )
    routes = Routes(service, round(limits.megabytes * 1e6), limits.files, discreet=bool(settings.token))
    return server_app(routes, settings.token, only_local=is_local(settings.host) and not settings.token)


def _self_check(model: ExportedModel) -> str:
    """Return why the file cannot decide anything, printed, too; empty if nothing is known against it.

    A server that never becomes ready is what a load balancer understands; one that ends at once is started again.
    """
    try:
        model.validate_finite()
    except NotFiniteError as error:
        print(f"nothing is decided: {error}", file=sys.stderr, flush=True)
        return f"{error} and restart the server"
    return ""


def taken_port(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UserError: If it cannot be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:  # the latter for a name that none can have
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen on host={host} port={port}: {reason}. Say another, or port=0 for any"
        ) from error


def _connections(settings: ServeSettings) -> "Connections":
    from fancnn.serve.connections import Connections, most_connections

    return Connections(most_connections(settings.limits.connections), [settings.proxy] if settings.proxy else [])


def _run(app: "FastAPI", listener: socket.socket, connections: "Connections", proxy: str | None) -> None:
    import uvicorn

    from fancnn.serve.connections import BACKLOG
    from fancnn.serve.http_protocol import BoundedConnection
    from fancnn.serve.server_logs import limit_logs

    limit_logs()
    config = uvicorn.Config(
        app,
        http=partial(BoundedConnection, connections=connections),  # type: ignore[arg-type]  # makes a protocol, too
        ws="none",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        proxy_headers=proxy is not None,  # else whoever calls could take any address
        forwarded_allow_ips=proxy or "",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    with suppress(KeyboardInterrupt, SystemExit):  # uvicorn sends itself the signal again, when all is finished
        uvicorn.Server(config).run(sockets=[listener])
    interruption.heeded()
    say("stopped")
