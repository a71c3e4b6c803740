"""What benchmarks measure with: load, floors, an exchange that answers at once, our own system."""
