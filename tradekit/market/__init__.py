"""Pure words both ends of a wire must agree on; no I/O, no clock."""
