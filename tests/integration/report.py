"""What the checker says about one recorded connection, and what a test may demand of it."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """What was found. `problems` tells each bad, unsigned or impossible message in words."""

    dialect: str = ""
    algorithm: str = ""
    signed: int = 0
    bad: int = 0
    unsigned: int = 0  # messages that had to be signed and were not
    excused: int = 0
    encrypted: int = 0  # messages out of frames that opened with the session's key
    cipher: str = ""
    commands: set = field(default_factory=set)  # names of those that were signed or sealed, and right
    keys: set = field(default_factory=set)
    session_keys: set = field(default_factory=set)
    users: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    def assert_clean(self, at_least=1):
        """Nothing bad, nothing unsigned, and really something there."""
        assert not self.problems, "\n".join(self.problems[:20])
        assert self.bad == 0 and self.unsigned == 0, self
        assert self.signed + self.encrypted >= at_least, self


def assert_independent(client_leg, upstream_leg):
    """Both legs clean, and no key of one known on the other."""
    client_leg.assert_clean()
    upstream_leg.assert_clean()
    assert client_leg.keys and upstream_leg.keys
    assert client_leg.keys.isdisjoint(upstream_leg.keys)
    assert client_leg.session_keys.isdisjoint(upstream_leg.session_keys)
