"""What a FIX version, or a broker, means by a message; and whether a message is one.

rules = Rules(shipped("FIX.4.4"))
for finding in rules.check(message):
    ...                               # finding.reason, finding.tag, finding.text, finding.fatal
"""

from onetape_fix.spec.compact import shipped
from onetape_fix.spec.model import Dictionary, FieldSpec, GroupSpec, Members, MessageSpec
from onetape_fix.spec.quickfix import load, overlaid
from onetape_fix.spec.rules import LENIENT, TEXTS, Checks, Finding, Rules

__all__ = [
    "LENIENT",
    "TEXTS",
    "Checks",
    "Dictionary",
    "FieldSpec",
    "Finding",
    "GroupSpec",
    "Members",
    "MessageSpec",
    "Rules",
    "load",
    "overlaid",
    "shipped",
]
