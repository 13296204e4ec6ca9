"""Plain sentences about a lane or a message, from the same figures that the JSON shows.

They are written for somebody who has never read the code: what there is, since when and who said so, what has been
tried since, what waits for what, and what happens next.
"""

from sender.core.explain.lane import explain_lane
from sender.core.explain.recipient import expected_at, explain_recipient
from sender.core.explain.short import explain_shortly

__all__ = ["expected_at", "explain_lane", "explain_recipient", "explain_shortly"]
