"""What every process does identically."""
