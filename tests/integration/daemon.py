"""A server of the tests' own: one process on an address of its own, in a directory that goes with it."""

import os
import subprocess

from harness import (can_connect, end_pid, end_process, free_port, is_alive, new_address, scratch_directory,
                     wait_until)


class Daemon:
    """A context manager. A subclass writes what its process reads in _prepare(), and starts it with
    _launch() in start()."""

    def __init__(self, kind, address=None, port=None):
        self.address = address or new_address()
        self.port = port or free_port(self.address)
        self.process = None
        self.directory = None
        self._scratch = scratch_directory(kind)
        self._output = None

    def __enter__(self):
        self.directory = self._scratch.__enter__()
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        self._scratch.__exit__(None, None, None)

    def _path(self, *parts):
        return os.path.join(self.directory, *parts)

    def _write(self, name, text):
        with open(self._path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def _prepare(self):
        raise NotImplementedError

    def start(self):
        """Starts the process and waits until it accepts connections."""
        raise NotImplementedError

    def _launch(self, command, output, environment):
        """Starts the process, its output in a file of the directory, and waits until it listens."""
        self._output = self._path(output)
        with open(self._output, "ab") as file:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                            env=environment)
        wait_until(lambda: self.process.poll() is not None or can_connect(self.address, self.port),
                   f"{command[0]} to listen", 15)
        assert self.process.poll() is None, self.log()[-2000:]

    def stop(self):
        """Ends the process."""
        if self.process is not None:
            end_process(self.process)
            self.process = None

    def log(self):
        """The process's output so far."""
        with open(self._output, encoding="utf-8", errors="replace") as file:
            return file.read()


def end_rpc_daemon(directory):
    """smbd starts samba-dcerpcd on demand, and it outlives smbd: the one of this directory is ended, by
    its pid."""
    path = os.path.join(directory, "pid/samba-dcerpcd.pid")
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            ours = directory.encode() in file.read()
    except (OSError, ValueError):
        return
    if ours and is_alive(pid):
        end_pid(pid)
    os.unlink(path)
