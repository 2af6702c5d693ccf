"""A proxy whose configuration a test changes piece by piece, and what can be seen of it from outside."""

import copy
import os
import re
import socket
import struct
import time
from contextlib import ExitStack

import bodies
import kerberos
import ntlm
import smb2
from capture import TO_SERVER, Relay, receive_frame
from harness import can_connect
from kerberosrig import PROXY_NAME, PROXY_SERVICE, proxy_account
from nas import Nas
from proxy import ROOT, UIDS, Proxy, listener, upstream
from rawclient import Disconnected, Failed, RawClient
from stubserver import StubServer

_OPTION = re.compile(r"^( *)(#?)(- )?([a-z0-9_]+):(?: |$)(.*)")


def shipped_options():
    """Every option that proxy.yaml shows, as "listeners[].name"; a unit test sees to it that it shows all."""
    found, stack = [], []
    with open(os.path.join(ROOT, "proxy.yaml"), encoding="utf-8") as file:
        for line in file:
            match = _OPTION.match(line)
            if not match:
                continue
            spaces, _, dash, name, _ = match.groups()
            indent = len(spaces) + len(dash or "")
            while stack and stack[-1][0] >= indent:
                stack.pop()
            found.append("".join(prefix for _, prefix in stack) + name)
            stack.append((indent, name + ("[]." if name in ("listeners", "upstreams", "rules", "domains") else ".")))
    return {name for name in found
            if not any(other.startswith((name + ".", name + "[].")) for other in found)}


class Place:
    """A context manager: clients → proxy → relay → file server of an MIT realm, with another file server
    beside it. `listener`, `upstream` and `extra` are what the proxy is configured with."""

    def __init__(self, realm, server):
        self.realm, self.server = realm, server
        self._stack = ExitStack()

    def __enter__(self):
        enter = self._stack.enter_context
        try:
            proxy_account(self.realm, self.server.service)
            self.keytab = self._keytab("place.keytab", PROXY_SERVICE)
            self.realm.add_service("cifs/wrong.mit.test")
            self.wrong_keytab = self._keytab("wrong.keytab", "cifs/wrong.mit.test")
            self.relay = enter(Relay((self.server.address, self.server.port)))
            self.second_relay = enter(Relay((self.server.address, self.server.port), self.relay.address))
            self.twin = enter(Nas(port=self.relay.port, max_dialect="3.0"))
            self.stub = enter(StubServer())
            self.listener = listener(names=[PROXY_NAME], services=[PROXY_SERVICE])
            self.upstream = upstream(self.relay, server_name=self.server.name)
            self.extra = {"kerberos": {"keytab": self.keytab, "config": self.realm.krb5_conf},
                          "limits": {"interim_hold": 0}}
            self.proxy = enter(Proxy([self.listener], [self.upstream, upstream(self.twin, "twin")],
                                     mapped={"alice": ("bob", "Bob.Pw2")}, workers=2, extra=self.extra))
            self._first = copy.deepcopy((self.listener, self.upstream, self.extra))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *details):
        return self._stack.__exit__(*details)

    def _keytab(self, name, service):
        path = self.realm.path(name)
        self.realm.keytab(path, service, owner=UIDS["keeper"])
        return path

    # the configuration

    def restore(self):
        """The configuration that it began with, written and in use."""
        for now, before in zip((self.listener, self.upstream, self.extra), copy.deepcopy(self._first)):
            now.clear()
            now.update(before)
        self.proxy.workers = 2
        self.reload()

    def reload(self, *options):
        self.proxy.write_configuration()
        status, said = self.proxy.reload(*options)
        assert status == 0, said
        return said

    def use_stub(self):
        """The upstream is the stub, which can be told to misbehave."""
        self.upstream.update(address=self.stub.address, port=self.stub.port)

    # clients

    @property
    def where(self):
        return self.listener["address"], self.listener["port"]

    def raw(self, **options):
        return RawClient(*self.where, **options)

    def established(self, user="alice", share="data", **offer):
        client = self.raw()
        client.negotiate(**offer)
        session = client.login(user, target_name=f"cifs/{PROXY_NAME}")
        session.tree_connect(share)
        return client, session

    def link(self, **offer):
        """The event `link` of a new connection; {} when there is none."""
        self.proxy.mark()
        try:
            with self.raw() as client:
                client.negotiate(**offer)
                return self.proxy.wait_event("link")
        except (Failed, Disconnected):
            return {}

    def login(self, user="alice", offer=None, ticket=False, **knobs):
        """The event `login` of a new session, with the file server's view of its share; {} when refused."""
        self.proxy.mark()
        knobs.setdefault("target_name", f"cifs/{PROXY_NAME}")
        try:
            with self.raw() as client:
                client.negotiate(**(offer or {}))
                session = client.login_ticket(self.initiator()) if ticket else client.login(user, **knobs)
                session.tree_connect()
                session.close(session.create(f"seen-{os.urandom(4).hex()}"))
                return {**self.proxy.wait_event("login"), "encrypts": session.encrypts}
        except (Failed, Disconnected):
            return {}

    def initiator(self, service=PROXY_SERVICE):
        cache = self.realm.kinit("alice")
        cache.must_get(service)
        return kerberos.Initiator(kerberos.credential(cache, service))

    def challenge(self):
        """What NTLM's CHALLENGE says of the proxy: texts by AvId."""
        client = ntlm.Client("alice", "Alice.Pw1", target_name=f"cifs/{PROXY_NAME}")
        with self.raw() as connection:
            connection.negotiate()
            connection.login_by(client)
        pairs = ntlm.parse_av(ntlm.field(client.challenge_message, 40))
        return {kind: value.decode("utf-16-le") for kind, value in pairs if kind <= 4}

    def takes_smb1(self):
        with socket.create_connection(self.where, timeout=5) as connection:
            message = smb2.smb1_negotiate(["NT LM 0.12", "SMB 2.002", "SMB 2.???"])
            connection.sendall(struct.pack(">I", len(message)) + message)
            try:
                return receive_frame(connection) is not None
            except OSError:
                return False

    def listens(self, address, port):
        return can_connect(address, port)

    # what the file server sees

    def _relayed(self):
        """The connections to the file server that a login and a connection to the share bring."""
        before = len(self.relay.connections)
        assert self.login()
        return self.relay.connections[before:]

    def sealed_upstream(self):
        """True when they have encrypted messages to the file server."""
        return any(frame.data[:4] == b"\xfdSMB" for connection in self._relayed()
                   for frame in connection.frames if frame.direction == TO_SERVER)

    def path_upstream(self):
        return b"".join(message.raw for connection in self._relayed()
                        for message in connection.messages(TO_SERVER, smb2.TREE_CONNECT))

    def reaches_limit(self, reason):
        """Six connections at a time: some of them are refused for that."""
        self.proxy.mark()
        refused = 0
        with ExitStack() as stack:
            for _ in range(6):
                try:
                    stack.enter_context(self.raw()).negotiate()
                except (Failed, Disconnected, OSError):
                    refused += 1
        return refused and bool(self.proxy.wait_event("limit_reached", reason=reason))

    def answer_of_stub(self, command, body):
        """The status that a client gets from the stub; None when its connection is ended."""
        try:
            client, session = self.established()
            with client:
                return session.ask(command, body(session.create("file"))).status
        except Disconnected:
            return None

    def interim_comes(self):
        """Soon, of a request that waits."""
        client, session = self.established()
        with client:
            directory = session.create("", access=0x1, disposition=1)
            client.send(smb2.CHANGE_NOTIFY, bodies.change_notify(directory), session)
            client.socket.settimeout(3)
            try:
                client.interim()
                return True
            except TimeoutError:
                return False

    def idle_is_ended(self, seconds):
        with self.raw(timeout=seconds) as client:
            return client.ends()

    def unreachable_after(self):
        """Seconds until the client of a file server that is silent is told so."""
        self.twin.freeze()
        try:
            began = time.monotonic()
            with self.raw(timeout=20) as client:
                try:
                    client.negotiate()
                except (Failed, Disconnected):
                    pass
            return time.monotonic() - began
        finally:
            self.twin.thaw()
