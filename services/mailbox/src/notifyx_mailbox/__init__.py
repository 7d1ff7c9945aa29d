"""An SMTP server whose mail can be read: for one machine, for trials and tests, never for the world."""
