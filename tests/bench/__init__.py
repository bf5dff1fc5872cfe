"""The benchmark: `make bench`. Not part of the tests; times whole processes."""
