"""A proxy straight before a file server, without relays: for what needs no recording."""

from contextlib import ExitStack

from proxy import Proxy, listener, upstream
from rawclient import RawClient
from stubserver import StubServer


class Front:
    """A context manager around a proxy with one listener and one upstream.

    `server` belongs to the caller; without one there is a StubServer with these `knobs`, an honest one
    when there are none. `on_listener` and `on_upstream` are options of the two; everything else goes to
    Proxy.
    """

    def __init__(self, server=None, on_listener=None, on_upstream=None, knobs=None, **options):
        self.stub = StubServer(**(knobs or {})) if server is None else None
        entry = listener(**(on_listener or {}))
        self.where = (entry["address"], entry["port"])
        self.proxy = Proxy([entry], [upstream(server or self.stub, **(on_upstream or {}))], **options)
        self._stack = None

    def __enter__(self):
        with ExitStack() as stack:
            if self.stub:
                stack.enter_context(self.stub)
            stack.enter_context(self.proxy)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details):
        return self._stack.__exit__(*details)

    def raw(self, **options):
        """The tests' own client, connected."""
        return RawClient(*self.where, **options)

    def negotiated(self):
        """A client that has not logged in."""
        client = self.raw()
        client.negotiate()
        return client

    def established(self, user="alice"):
        """A client with a session and a tree: (client, session)."""
        client = self.negotiated()
        session = client.login(user)
        session.tree_connect()
        return client, session
