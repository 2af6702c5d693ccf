"""What no log may hold, and every way in which it could stand there."""

import base64
import re
import struct

import ntlm
from verify import check

CHALLENGE, AUTHENTICATE = b"\2\0\0\0", b"\3\0\0\0"
LEAST = 8  # bytes: what is shorter is found everywhere


def _messages(frames, kind):
    """The NTLM messages of a kind in these frames."""
    for data in frames:
        at = data.find(ntlm.SIGNATURE + kind)
        if at >= 0:
            yield data[at:]


def _answer_secrets(raw, challenges, passwords):
    """What one AUTHENTICATE holds, and what follows from it for whoever knows the password."""
    try:
        answer = ntlm.Authenticate(raw)
    except (ValueError, struct.error):
        return {}  # an attacker's own invention
    found = {"proof": answer.nt_response[:16], "NT response": answer.nt_response,
             "LM response": answer.lm_response, "encrypted key": answer.encrypted_key,
             "MIC": raw[72:88]}
    password = passwords.get(answer.user.lower())
    if password is not None:
        owf = ntlm.ntowf_v2(password, answer.user, answer.domain)
        found["NTLMv2 hash"], found["base key"] = owf, ntlm.hmac_md5(owf, answer.nt_response[:16])
        for challenge in challenges:
            found["session key"] = (answer.session_key(password, challenge) or
                                    found.get("session key", b""))
    return found


def of_frames(frames, passwords):
    """Every secret of the NTLM logins in one connection's frames, by what it is."""
    frames, found = list(frames), {}
    challenges = [message[24:32] for message in _messages(frames, CHALLENGE)]
    for number, raw in enumerate(_messages(frames, AUTHENTICATE)):
        for name, value in _answer_secrets(raw, challenges, passwords).items():
            if len(value) >= LEAST and any(value):
                found[f"{name} of login {number}"] = value
    return found


def of_passwords(passwords):
    """The passwords themselves and their hashes."""
    found = {}
    for user, password in passwords.items():
        found[f"password of {user}"] = password.encode()
        found[f"password of {user} as UTF-16"] = ntlm.utf16(password)
        found[f"NT hash of {user}"] = ntlm.nt_hash(password)
    return found


def of_connection(connection, passwords, keys=()):
    """The secrets of a recorded connection (capture.Connection), with the keys of its sessions; `keys`
    (keytab.Entry) open its tickets."""
    with connection.lock:
        frames = [frame.data for frame in connection.frames]
    found = of_frames(frames, passwords)
    try:
        report = check(connection, passwords, keys)
    except (ValueError, struct.error, IndexError):
        return found  # what an attacker sent was not SMB2
    for number, key in enumerate(report.keys | report.session_keys):
        found[f"key {number}"] = key
    return found


def _base64_inside(secret):
    """How it looks inside base64 of something longer, wherever it begins there."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret).decode()
        part = text[(8 * before + 5) // 6:8 * (before + len(secret)) // 6]
        yield part
        yield part.replace("+", "-").replace("/", "_")


def find(text, secrets):
    """The names of the secrets that a log (str) holds: as they are, in hex (either case, either
    order, with or without separators) or in base64 (any alignment, either alphabet)."""
    plain = text.replace("\\/", "/").replace("\\u0000", "").replace("\0", "")
    digits = re.sub("[^0-9a-f]", "", re.sub("0x|\\\\x|\\\\u00", "", text.lower()))
    leaked = []
    for name, secret in secrets.items():
        forms = [secret.decode("utf-8", "ignore"), *_base64_inside(secret)]
        written = {secret.hex(), secret[::-1].hex()}
        if any(len(form) >= LEAST and form in plain for form in forms) or any(
                form in digits for form in written):
            leaked.append(name)
    return leaked
