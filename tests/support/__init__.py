"""What the tests stand on: a real MariaDB server, real WordPress sites, real worker processes."""
