"""From ``predict.py --serve`` to a page that listens, and its end."""

from __future__ import annotations

import errno
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from paddle_pose.commands.predict import Network
from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS, MIB
from paddle_pose.serving.networks import Networks
from paddle_pose.system import ending

OWN = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""

INSTALL = "pip install -r requirements-demo.txt"


def serve(given: Network, host: str, port: int, output: Path = Path("output")) -> None:
    """Serve the page until a signal.

    Args:
        given: the network that is offered first.
        host: address that is listened on.
        port: 0 takes a free one.
        output: folder whose runs and exported networks are offered too.

    Raises:
        UserError: no network, a library that is not installed, an address that cannot be had.
        ending.Stopped: by a signal.
    """
    try:
        import waitress

        from paddle_pose.serving.app import make_app
    except ImportError as error:
        raise UserError(f"--serve: {error.name} is not installed: {INSTALL}") from error
    networks = Networks(given, output)
    networks.names()
    worker = ThreadPoolExecutor(1)
    try:
        # A larger body than 64 MiB is kept in a file that has no name and ends with its request.
        server = waitress.create_server(
            make_app(networks, worker, (host, *OWN) if _is_own(host) else ()),
            host=host, port=port, threads=8, ident=None, inbuf_overflow=64 * MIB,
            max_request_body_size=LIMITS["image_file_bytes"].most + 1,
        )  # fmt: skip
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port {port}: is taken; give another one, or 0 for any") from error
        raise UserError(f"--host {host} --port {port}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"--host {host}: no address of this machine") from error
    worker.submit(networks.get).result()
    if not _is_own(host):
        print(
            f"warning: --host {host}: whoever reaches this machine can use the page; it has no "
            "password and no encryption",
            flush=True,
        )
    shown = f"[{host}]" if ":" in host else host
    # localhost may have two addresses, and then the server two sockets.
    port = getattr(server, "effective_port", 0) or server.effective_listen[0][1]
    print(f"=> http://{shown}:{port} (Ctrl-C ends it)", flush=True)
    server.run()  # until Stopped, which it takes for Ctrl-C and keeps
    # Paddle and OpenCV abort where Python ends below them: what is computed comes to its end.
    worker.shutdown()
    server.task_dispatcher.shutdown(timeout=60)
    raise ending.Stopped(ending.asked())


def _is_own(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
