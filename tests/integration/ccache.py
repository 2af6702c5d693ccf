"""A credential cache in a file: what a user logged in with Kerberos has."""


class Ccache:
    """`run` runs a command where the KDC is found, and answers as harness.run() does."""

    def __init__(self, path, run):
        self.path, self._run = path, run

    @property
    def name(self):
        return f"FILE:{self.path}"

    def get(self, service, *options):
        """Fetches a ticket for a service, so that the KDC need not be asked later; the finished kvno."""
        return self._run(["kvno", "-q", "-c", self.name, *options, service])

    def must_get(self, service, *options):
        done = self.get(service, *options)
        assert done.returncode == 0, done.stdout + done.stderr
