"""What servers mean, by their words: one table that is read from the top; the first line that is said decides.

A cause that is stated comes before its effect ("rate limited because of SPF" speaks of SPF), the particular before the
general, and what names one recipient or one message before what speaks of everything. `core/wording.py` explains how a
wording is written, `core/lexicon.py` has the nouns in braces.
"""

from __future__ import annotations

from sender.core.meanings.causes import CAUSES
from sender.core.meanings.mail import MAIL
from sender.core.meanings.pace import PACE
from sender.core.meanings.state import STATE
from sender.core.meanings.trust import TRUST

MEANINGS = (*CAUSES, *PACE, *TRUST, *MAIL, *STATE)
