"""One prepared request for every command of a session, for the tests that break them one by one."""

import struct

import bodies
import smb2


class Stage:
    """An open session with a tree, a file and a directory, on which any command makes sense."""

    def __init__(self, rig, dialects=None):
        self.client, self.session = rig.established(dialects=dialects)
        self.file_id = self.session.create("stage")
        self.session.write(self.file_id, b"0123456789" * 10)
        self.directory_id = self.session.create("", options=bodies.DIRECTORY_FILE,
                                                disposition=bodies.OPEN, access=bodies.READ_ACCESS)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.client.__exit__(*details)

    def body(self, command):
        """The body of a request that a server answers with success, or with an error of its own."""
        return {
            smb2.LOGOFF: bodies.empty,
            smb2.TREE_CONNECT: lambda: bodies.tree_connect(f"\\\\{self.client.address}\\data"),
            smb2.TREE_DISCONNECT: bodies.empty,
            smb2.CREATE: lambda: bodies.create("made"),
            smb2.CLOSE: lambda: bodies.close(self.file_id),
            smb2.FLUSH: lambda: bodies.flush(self.file_id),
            smb2.READ: lambda: bodies.read(self.file_id, 10),
            smb2.WRITE: lambda: bodies.write(self.file_id, b"tampered"),
            smb2.LOCK: lambda: bodies.lock(self.file_id),
            smb2.IOCTL: lambda: bodies.ioctl(0x00144064, file_id=self.file_id),  # ENUMERATE_SNAPSHOTS
            smb2.CANCEL: bodies.empty,
            smb2.ECHO: bodies.empty,
            smb2.QUERY_DIRECTORY: lambda: bodies.query_directory(self.directory_id),
            smb2.CHANGE_NOTIFY: lambda: bodies.change_notify(self.directory_id),
            smb2.QUERY_INFO: lambda: bodies.query_info(self.file_id),
            smb2.SET_INFO: lambda: bodies.set_info(self.file_id, bodies.FILE_END_OF_FILE_INFORMATION,
                                                   struct.pack("<Q", 3)),
            smb2.OPLOCK_BREAK: lambda: bodies.oplock_acknowledge(self.file_id),
        }[command]()

    def send(self, command, **options):
        """Sends the command; its MessageId."""
        return self.client.send(command, self.body(command), self.session, **options)


EVERY = [number for number in range(len(smb2.COMMANDS))
         if number not in (smb2.NEGOTIATE, smb2.SESSION_SETUP)]


def name(command):
    """For the ids of parametrized tests."""
    return smb2.COMMANDS[command]
