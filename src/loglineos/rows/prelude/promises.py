"""What functions of consequences share: an act that follows from another, whole and well-formed.

A function of a consequence is given {"record", "seq", "branch", "text", "span"}: which record led to
it, by which branch, in which words, and that record's columns.
"""

NOTHING = "nada"


def span_of(given):
    """Return the columns of the record that led here; without one, an empty object."""
    span = given.get("span") if isinstance(given, dict) else None
    return span if isinstance(span, dict) else {}


def what_of(given, otherwise):
    """Return what it is about: the `this` of the record that led here."""
    return str(span_of(given).get("this") or otherwise)


def person_of(given):
    """Return whose matter it is: the owner of the record that led here, or who acted."""
    span = span_of(given)
    return span.get("owner_id") or span.get("who")


def amount_of(given):
    """Return the amount that the record that led here names, as text, and its currency."""
    details = span_of(given).get("details") or {}
    for name in ("total", "valor", "montante", "amount"):
        if details.get(name) is not None:
            return str(details[name]), str(details.get("moeda") or details.get("currency") or "EUR")
    return None, "EUR"


def following(
    given,
    did,
    entity_type,
    status,
    this=None,
    ok=NOTHING,
    doubt=NOTHING,
    no=NOTHING,
    to=None,
    details=None,
    kind="system",
):
    """Return the act that follows: complete, tied to what led to it, promising ok, doubt and no."""
    span = span_of(given)
    record = given.get("record") if isinstance(given, dict) else None
    act = {
        "entity_type": entity_type,
        "did": did,
        "this": this or str(span.get("this") or did),
        "status": status,
        "type": kind,
        "confirmed_by": str(span.get("confirmed_by") or "auto"),
        "if_ok": ok,
        "if_doubt": doubt,
        "if_not": no,
        "branch": given.get("branch") if isinstance(given, dict) else None,
    }
    if record:
        act["parent_id"] = record
        act["related_to"] = [record]
    if details:
        act["details"] = details
    shared = [one for one in (span.get("shared_with") or []) if isinstance(one, str)]
    if to and to not in shared:
        shared = shared + [to]
    if shared:
        act["shared_with"] = shared
    return act
