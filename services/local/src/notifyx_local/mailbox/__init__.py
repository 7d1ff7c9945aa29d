"""A local SMTP server whose mail can be read: for one machine and for tests, never for the world."""
