"""The sandbox: real SMTP receivers and a scripted DNS server on loopback, to try a sender against.

It needs nothing of the rest of `sender`. What a receiver does is one value, a `Behaviour`, and it never pretends:
every reply follows from that value and from what the peer has sent.
"""

from sender.sandbox.behaviour import Behaviour, Close, Hang
from sender.sandbox.dns import DnsServer
from sender.sandbox.ledger import Ledger, Store
from sender.sandbox.limits import Counts
from sender.sandbox.office import Arrival, Tally
from sender.sandbox.receiver import Receiver
from sender.sandbox.zone import Zone

__all__ = [
    "Arrival",
    "Behaviour",
    "Close",
    "Counts",
    "DnsServer",
    "Hang",
    "Ledger",
    "Receiver",
    "Store",
    "Tally",
    "Zone",
]
