"""What needs servers of other versions or other programs: `make matrix`. Not collected by `make test`."""
