"""What tests share: real servers (PostgreSQL, memcached, SMTP) on loopback ports, each on a folder of its own."""
