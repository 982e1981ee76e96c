"""By which names a computer means itself alone, and which addresses are one client."""

import re
from ipaddress import IPv6Address, ip_address

LOCAL = ("localhost", "127.0.0.1", "::1")
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^][:@/\\?#\s]+))(?::\d{1,5})?")


def is_local(host: str) -> bool:
    """Return whether a name or an address means this computer to itself alone.

    Example:
        >>> is_local("127.0.0.1"), is_local("::1"), is_local("0.0.0.0"), is_local("127.0.0.1.example.com")
        (True, True, False, False)
    """
    return host in LOCAL or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def host_of(header: str) -> str:
    """Return the name or address in a `Host` header, without its port; empty for what is none.

    Example:
        >>> host_of("LOCALHOST:8000"), host_of("[::1]:8000"), host_of("[evil"), host_of("evil@127.0.0.1")
        ('localhost', '::1', '', '')
    """
    match = HOST.fullmatch(header.lower())
    return match[1] or match[2] if match else ""


def client_of(address: str) -> str:
    """Return what stands for the client at an address: IPv6 gives one computer a whole network of 64 bits.

    Example:
        >>> [client_of(address) for address in ("10.0.0.7", "2001:db8:0:1:2:3:4:5", "::ffff:10.0.0.1", "::1", "")]
        ['10.0.0.7', '2001:db8:0:1::', '10.0.0.1', '::', '']
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
