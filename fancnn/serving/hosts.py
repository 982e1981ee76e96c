"""By which names a computer means itself alone."""

import re

LOCAL = ("localhost", "127.0.0.1", "::1")


def is_local(host: str) -> bool:
    """Whether a name or an address means this computer to itself alone.

    Example:
        >>> is_local("127.0.0.1"), is_local("::1"), is_local("0.0.0.0"), is_local("127.0.0.1.example.com")
        (True, True, False, False)
    """
    return host in LOCAL or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
