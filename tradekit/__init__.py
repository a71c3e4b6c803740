"""What every service must agree on: `market` is pure words, `service` is how a process runs."""
