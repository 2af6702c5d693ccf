"""The usual arrangement: client → relay → proxy → relay → file server, both legs recorded.

Beside it the proxy has a second listener without relays (`direct`), for what is too big to record.
"""

from contextlib import ExitStack

from capture import TO_SERVER, Relay
from harness import USERS
from proxy import Proxy, listener, upstream
from rawclient import RawClient
from smbtools import RpcClient, SmbClient
from report import assert_independent
from verify import check


class Rig:
    """A context manager around proxy and relays; the file server belongs to the caller.

    `on_listener` and `on_upstream` are options for both listeners and both upstreams; everything else
    goes to Proxy. `keys` (keytab.Entry) are what the checker opens tickets with. `address` is where
    clients connect to, and `source` where the proxy sees them come from, where that matters.
    """

    def __init__(self, server, on_listener=None, on_upstream=None, keys=(), address=None, source=None,
                 **options):
        self.server, self.keys, self._address, self._source = server, list(keys), address, source
        self.on_listener, self.on_upstream = dict(on_listener or {}), dict(on_upstream or {})
        self.options = options
        self._stack = ExitStack()

    def __enter__(self):
        enter = self._stack.enter_context
        try:
            self.upstream_relay = enter(Relay((self.server.address, self.server.port)))
            self.client_relay = enter(Relay(address=self._address, source=self._source))
            names = [self.client_relay.address, *self.on_listener.pop("names", [])]
            listeners = [listener("recorded", "recorded", names=names, **self.on_listener),
                         listener("direct", "direct", **self.on_listener)]
            upstreams = [upstream(self.upstream_relay, "recorded", **self.on_upstream),
                         upstream(self.server, "direct", **self.on_upstream)]
            self.client_relay.target = (listeners[0]["address"], listeners[0]["port"])
            self.direct = (listeners[1]["address"], listeners[1]["port"])
            self.proxy = enter(Proxy(listeners, upstreams, **self.options))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *details):
        return self._stack.__exit__(*details)

    @property
    def address(self):
        """Where clients whose traffic is recorded connect to."""
        return self.client_relay.address

    @property
    def port(self):
        return self.client_relay.port

    def reset(self):
        """Forgets recordings, hooks and events of the test before."""
        self.client_relay.clear()
        self.upstream_relay.clear()
        self.proxy.mark()

    def smbclient(self, directory, **options):
        """smbclient through both relays."""
        return SmbClient(str(directory), self.address, self.port, **options)

    def smbclient_direct(self, directory, **options):
        """smbclient at the listener without relays."""
        return SmbClient(str(directory), *self.direct, **options)

    def rpcclient(self, directory, **options):
        """rpcclient through both relays."""
        return RpcClient(self.smbclient(directory, **options))

    def raw(self, **options):
        """The tests' own client through both relays."""
        return RawClient(self.address, self.port, **options)

    def raw_direct(self, **options):
        """The same at the listener without relays."""
        return RawClient(*self.direct, **options)

    def established(self, user="alice", dialects=None, share="data", **options):
        """A raw client with a session and a tree: (client, session)."""
        client = self.raw(**options)
        client.negotiate(**({"dialects": dialects} if dialects else {}))
        session = client.login(user)
        session.tree_connect(share)
        return client, session

    def at_server(self, command=None):
        """The requests that reached the file server's side since the last reset."""
        return [message for connection in self.upstream_relay.connections
                for message in connection.messages(TO_SERVER, command)]

    def reports(self, passwords=None):
        """One pair of reports (client leg, upstream leg) for each link, once all have ended."""
        self.client_relay.wait_ended()
        self.upstream_relay.wait_ended()
        passwords = USERS if passwords is None else passwords
        clients, servers = ([check(connection, passwords, self.keys) for connection in relay.connections]
                            for relay in (self.client_relay, self.upstream_relay))
        assert len(clients) == len(servers) > 0, (clients, servers)
        return list(zip(clients, servers))

    def assert_both_legs_signed(self, passwords=None):
        """Every link: both legs clean, with keys of their own; the reports."""
        reports = self.reports(passwords)
        for client_leg, upstream_leg in reports:
            assert_independent(client_leg, upstream_leg)
        return reports
