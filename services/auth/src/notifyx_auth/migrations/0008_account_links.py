"""Links in mails that set a new password, and that confirm a new address."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0007_session_origin")]

    operations = [
        ops.CreateModel(
            name="PasswordReset",
            fields=[
                ("hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "user",
                    fields.OneToOneField(
                        "auth.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="password_reset",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "password_resets",
                "app": "auth",
                "pk_attr": "hash",
                "table_description": "The one open link of a user that sets a new password; a newer one replaces it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="EmailChange",
            fields=[
                ("hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "user",
                    fields.OneToOneField(
                        "auth.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="email_change",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("email", fields.CharField(max_length=254)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "email_changes",
                "app": "auth",
                "pk_attr": "hash",
                "table_description": "The one address that a user wants to change to and has not confirmed yet; a newer one replaces it.",
            },
            bases=["Model"],
        ),
    ]
