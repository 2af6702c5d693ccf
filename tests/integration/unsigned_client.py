#!/usr/bin/python3
"""A client that logs in like any other and then sends its requests unsigned.

    unsigned_client.py ADDRESS PORT SHARE USER PASSWORD

It tells, in one line, what the server did: exit status 0 when it carried the unsigned requests out,
3 when it ended the connection, 1 for anything else.
"""

import argparse
import os
import sys

import bodies
import smb2
from rawclient import Disconnected, Failed, RawClient

NAME = "written-by-an-unsigned-client"
EXIT_CARRIED_OUT, EXIT_OTHER, EXIT_DISCONNECTED = 0, 1, 3


def unsigned(client, session, command, body):
    """One unsigned request and its answer, signed or not."""
    client.send(command, body, session, sign_as="none")
    answer = smb2.split_chain(client.receive_frame())[0]
    while answer.status == smb2.PENDING:
        answer = smb2.split_chain(client.receive_frame())[0]
    if answer.status != smb2.SUCCESS:
        raise Failed(answer)
    return answer


def write_file(client, session):
    """Creates, writes and closes a file without a single signature."""
    answer = unsigned(client, session, smb2.CREATE, bodies.create(NAME))
    file_id = bodies.created_file_id(answer)
    unsigned(client, session, smb2.WRITE, bodies.write(file_id, os.urandom(100), 0))
    unsigned(client, session, smb2.CLOSE, bodies.close(file_id))


def main():
    """What the module says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("address", "port", "share", "user", "password"):
        parser.add_argument(name, type=int if name == "port" else str)
    given = parser.parse_args()
    with RawClient(given.address, given.port) as client:
        client.negotiate()
        session = client.login(given.user, given.password)
        # Windows and Samba insist on this one signature at dialect 3.1.1, whatever is configured.
        session.tree_connect(given.share)
        print("logged in, share connected; now an unsigned request to create and write a file")
        try:
            write_file(client, session)
        except Disconnected:
            print("the server ended the connection")
            return EXIT_DISCONNECTED
        except Failed as refused:
            print(f"the server answered {refused}")
            return EXIT_OTHER
    print("the server carried it out: the file is written")
    return EXIT_CARRIED_OUT


if __name__ == "__main__":
    sys.exit(main())
