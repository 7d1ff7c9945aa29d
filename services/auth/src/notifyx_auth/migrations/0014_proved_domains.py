"""Addresses whose domain has a letter that IDNA 2003 spelled otherwise (ß as ss): where mail to them went until now.

That is the mailbox which was proved, so a verified account has its address from here on, and goes on to get its mail
there. One that is not verified keeps the address, and proves it where mail goes from now on: links that were mailed
before end. Where two accounts would have one key, each keeps its own.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

# ß and its capital, the final sigma, and both joiners.
_HAS = "substring({0} from '[^@]*$') ~ '[\u00df\u1e9e\u03c2\u200c\u200d]'"

_FORMER = """left(substring({0} from '^.*@') || replace(replace(translate(
    substring({0} from '[^@]*$'), '\u03c2\u200c\u200d', '\u03c3'), '\u00df', 'ss'), '\u1e9e', 'ss'), 254)"""


_IN_LETTERS = "substring(u.email_key from '^.*@') || lower(substring(u.email from '[^@]*$'))"

LINKS = [
    f"DELETE FROM {table} WHERE user_id IN (SELECT id FROM users WHERE NOT email_verified AND {_HAS.format('email')})"  # noqa: S608
    for table in ("verifications", "password_resets")
]

MAILS = [
    f"UPDATE {table} SET email = {_FORMER.format('email')} WHERE {_HAS.format('email')}"  # noqa: S608
    for table in ("email_changes", "account_mails", "departures")
]

VERIFIED = f"""
UPDATE users u SET email = {_FORMER.format("email")}, email_key = CASE
    WHEN EXISTS (SELECT FROM users o WHERE o.id <> u.id
        AND {_FORMER.format("o.email_key")} = {_FORMER.format("u.email_key")}) THEN u.email_key
    ELSE {_FORMER.format("u.email_key")} END
WHERE email_verified AND {_HAS.format("email")}
"""  # noqa: S608

UNVERIFIED = f"""
UPDATE users u SET email_key = {_IN_LETTERS}
WHERE NOT email_verified AND {_HAS.format("email")}
    AND NOT EXISTS (SELECT FROM users o WHERE o.id <> u.id AND o.email_key = {_IN_LETTERS})
"""  # noqa: S608


class Migration(migrations.Migration):
    dependencies = [("auth", "0013_account_names")]

    operations = [ops.RunSQL([*LINKS, *MAILS, VERIFIED, UNVERIFIED])]
