"""The spellings of an email address that are one mailbox: whoever compares addresses compares their keys.

A mailbox is the same whether its domain is written in letters (``exämple.com``) or as mail servers get it
(``xn--exmple-cua.com``), and in any case. Both spellings follow UTS 46 and IDNA 2008, as in browsers and mail servers:
``straße.de`` is another domain than ``strasse.de``.
"""

from __future__ import annotations

_ACE = "xn--"


def address_key(address: str) -> str:
    """Return the one form of all spellings of ``address``: lower case, with the domain in letters."""
    name, at, domain = address.rpartition("@")
    return address.lower() if _is_plain(domain) else f"{name.lower()}{at}{_both(domain)[0]}"


def address_spellings(address: str) -> tuple[str, ...]:
    """Return ``address`` in each spelling that a list may hold, in lower case; first the one that it is stored in.

    That is the one written, unless it is of neither kind (``exämple.xn--p1ai``): lists are searched for both kinds.
    """
    written = address.lower()
    name, at, domain = address.rpartition("@")
    if _is_plain(domain):
        return (written,)
    both = [f"{name.lower()}{at}{spelled}" for spelled in _both(domain)]
    if written in both:
        return tuple(dict.fromkeys((written, *both)))
    # Lower case alone may be another domain: it gives a word a final sigma.
    return tuple(dict.fromkeys((*both, written) if address_key(written) == both[0] else both))


def grant_key(entry: str) -> str:
    """Return the one form of all spellings of an entry of an allow-list; ids are as they are."""
    return address_key(entry) if "@" in entry else entry


def ascii_domain(domain: str) -> str:
    """Return a domain as mail servers get it; as it is where there is no such form."""
    return domain if _is_plain(domain) else _both(domain)[1]


def _is_plain(domain: str) -> bool:
    """Return whether a domain has one spelling, its case aside."""
    return domain.isascii() and _ACE not in domain.lower()


def _both(domain: str) -> tuple[str, str]:
    """Return a domain in letters and in ASCII; twice as it is, where it is none."""
    import idna  # noqa: PLC0415 - its tables take a megabyte, and few processes meet such a domain

    try:
        labels = [_label(label) for label in idna.uts46_remap(domain, std3_rules=False).split(".")]
    except UnicodeError:
        return domain.lower(), domain.lower()
    return ".".join(letters for letters, _ in labels), ".".join(ascii_ for _, ascii_ in labels)


def _label(label: str) -> tuple[str, str]:
    """Return a label in letters and in ASCII. Raises :class:`UnicodeError` for one that has no ASCII form.

    A label with characters that IDNA 2008 leaves out, such as emoji, is that of IDNA 2003 if it changes nothing else.
    """
    import idna  # noqa: PLC0415 - see above

    if label.isascii() and not label.startswith(_ACE):
        return label, label
    try:
        return (idna.ulabel(label), label) if label.isascii() else (label, idna.alabel(label).decode("ascii"))
    except UnicodeError:
        letters = label.encode("ascii").decode("idna") if label.isascii() else label
        ascii_ = letters.encode("idna").decode("ascii")
        if ascii_.encode("ascii").decode("idna") != letters or (label.isascii() and ascii_ != label):
            raise UnicodeError("no spelling in letters and ASCII") from None
        return letters, ascii_
