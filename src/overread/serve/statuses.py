"""What is said of an object that was sent: the statuses of DIMSE by name, and what follows from each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """Statuses that are sent or understood (PS3.4 B.2.3, PS3.7 C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    INVALID_OBJECT_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    CLASS_INSTANCE_CONFLICT = 0x0119
    MISSING_ATTRIBUTE = 0x0120
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORISED = 0x0124
    UNRECOGNISED_OPERATION = 0x0211
    MISTYPED_ARGUMENT = 0x0212
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    COERCION_OF_DATA_ELEMENTS = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    WARNING_DATA_SET_DOES_NOT_MATCH = 0xB007
    CANNOT_UNDERSTAND = 0xC000
    TOO_LARGE = 0xC001
    """of overread's own, among those for what cannot be understood: sent again it would be as large"""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a file."""

    outcome: str
    """taken; again, where a later try may help; or refused, where none will"""
    said: str
    """by the other side, in words without patients"""
    uncertain: bool = False
    """whether the other side may have it all the same: it has to be asked before it is sent again"""
    away: bool = False
    """whether the other side could not be spoken to at all, so that no other file will fare better now"""


_FOR_GOOD = {
    Status.INVALID_OBJECT_INSTANCE,
    Status.NO_SUCH_SOP_CLASS,
    Status.CLASS_INSTANCE_CONFLICT,
    Status.MISSING_ATTRIBUTE,
    Status.SOP_CLASS_NOT_SUPPORTED,
    Status.UNRECOGNISED_OPERATION,
    Status.MISTYPED_ARGUMENT,
}


def outcome_of(status: int | None) -> Sent:
    """What a status says; None where there was no answer.

    A status is final only where the standard lays the fault on the object. Of one that is unknown, or that a PACS
    gives for want of space or of rights, another try is made: to lose a result is worse than to send it late.
    """
    if status is None:
        return Sent(outcome="again", said="the connection broke, or it did not answer in time", uncertain=True)
    said = _name(status)
    if status in (Status.SUCCESS, Status.DUPLICATE_SOP_INSTANCE) or status >> 12 == 0xB:
        return Sent(outcome="taken", said=said)
    is_final = status in _FOR_GOOD or status >> 8 == 0xA9 or status >> 12 == 0xC
    return Sent(outcome="refused" if is_final else "again", said=said)


def _name(status: int) -> str:
    """`0xA700 out of resources`; codes of a range have the name of its first (PS3.4 Table B.2-1)."""
    ranges = {0xA7: Status.OUT_OF_RESOURCES, 0xA9: Status.DATA_SET_DOES_NOT_MATCH}
    known = {int(one): one for one in Status if one != Status.TOO_LARGE}
    found = known.get(status, ranges.get(status >> 8))
    if found is None and status >> 12 == 0xC:
        found = Status.CANNOT_UNDERSTAND
    return f"0x{status:04X} {found.name.lower().replace('_', ' ')}" if found is not None else f"0x{status:04X}"
