"""The mailer: renders emails and sends them through an SMTP server."""
