"""A server on loopback that speaks https, by an authority that lives as long as the test."""

import ssl
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import trustme


@contextmanager
def https(handler, folder, monkeypatch):
    """Serve by ``handler``; the authority's certificate is written to ``folder``, and trusted.

    Yields
    ------
    ThreadingHTTPServer
        ``address`` is that of its root.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "authority.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        running.daemon_threads = True
        running.address = f"https://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
