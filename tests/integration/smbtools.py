"""The real clients: smbclient, rpcclient and rclone as programs."""

import os

from harness import USERS, run
from nas import SAMBA_DIALECTS


class SmbClient:
    """smbclient against one address or name, with everything it writes kept in `directory`.

    `environment` and `prefix` (a command that runs the rest, such as nsenter) say where it runs.
    """

    def __init__(self, directory, address, port, options=(), dialect="3.1.1", environment=None,
                 prefix=()):
        self.directory, self.address, self.port = directory, address, port
        self.environment, self.prefix = environment, list(prefix)
        self.options, self.dialect = list(options), dialect
        state = os.path.join(directory, "smbclient-state")
        os.makedirs(state, exist_ok=True)
        self.configuration = os.path.join(directory, "client.conf")
        lines = "".join(f"{kind} = {state}\n" for kind in
                        ("lock directory", "state directory", "cache directory", "private dir"))
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write("[global]\n" + lines)

    def run(self, commands, user="alice", password=None, dialect=None, exactly=True, share="data",
            options=(), seconds=60, ticket=None, domain="LABGROUP"):
        """Runs `commands` ("put a b; ls"); the finished process. `dialect` is the highest that the
        client offers, and with `exactly` also the lowest. The user "" is anonymous. `ticket` is a
        credential cache (with a `name`), used instead of a password."""
        highest = SAMBA_DIALECTS[dialect or self.dialect]
        lowest = highest if exactly else "SMB2_02"
        environment = dict(self.environment or os.environ)
        if ticket is not None:
            # smbclient takes the cache from both places, each for another purpose.
            environment["KRB5CCNAME"] = ticket.name
            who = ["--use-kerberos=required", f"--use-krb5-ccache={ticket.name}"]
        else:
            who = self._password(user, password, domain)
        return run([*self.prefix, "smbclient", "-s", self.configuration, f"//{self.address}/{share}",
                    "-p", str(self.port), "-m", highest, f"--option=client min protocol={lowest}", *who,
                    *self.options, *options, "-c", commands], seconds, cwd=self.directory,
                   env=environment)

    @staticmethod
    def _password(user, password, domain):
        if not user:
            return ["-N", "-U", "%"]
        password = USERS.get(user, "") if password is None else password
        return ["-U", f"{domain}\\{user}%{password}"]

    def must(self, commands, **options):
        """The output of commands that must succeed."""
        done = self.run(commands, **options)
        assert done.returncode == 0 and "NT_STATUS" not in done.stdout, done.stdout + done.stderr
        return done.stdout

    def refused(self, commands="ls", **options):
        """The output of commands that must not even get a connection."""
        done = self.run(commands, **options)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr


class RpcClient:
    """rpcclient: calls over named pipes. It shares smbclient's configuration."""

    def __init__(self, smbclient):
        self.smbclient = smbclient

    def run(self, commands, user="alice", binding="", options=(), seconds=60):
        """Runs `commands` ("srvinfo;netshareenum"); `binding` are options of the RPC binding, as
        "[sign,ntlm]". The finished process."""
        client = self.smbclient
        return run(["rpcclient", "-s", client.configuration, "-p", str(client.port), "-U",
                    f"LABGROUP\\{user}%{USERS[user]}", "-m", SAMBA_DIALECTS[client.dialect], *options,
                    f"ncacn_np:{client.address}{binding}", "-c", commands], seconds,
                   cwd=client.directory)

    def must(self, commands, **options):
        """The output of calls that must succeed."""
        done = self.run(commands, **options)
        text = done.stdout + done.stderr
        assert done.returncode == 0 and "NT_STATUS" not in text and "WERR" not in text, text
        return done.stdout

    def fails(self, commands, **options):
        """The output of calls that must not work."""
        done = self.run(commands, **options)
        text = done.stdout + done.stderr
        assert done.returncode != 0 or "NT_STATUS" in text or "WERR" in text, text
        return text


class Rclone:
    """rclone's smb backend (go-smb2), configured in `directory`."""

    def __init__(self, directory, address, port, user="alice", password=None):
        self.configuration = os.path.join(directory, "rclone.conf")
        obscured = run(["rclone", "obscure", USERS[user] if password is None else password])
        assert obscured.returncode == 0, obscured.stderr
        with open(self.configuration, "w", encoding="ascii") as file:
            file.write(f"[nas]\ntype = smb\nhost = {address}\nport = {port}\nuser = {user}\n"
                       f"pass = {obscured.stdout.strip()}\n")

    def run(self, *arguments, seconds=60):
        """Runs rclone once, with no retries of its own; the finished process."""
        return run(["rclone", "--config", self.configuration, "--retries", "1", "--low-level-retries",
                    "1", "--contimeout", "10s", *arguments], seconds)
