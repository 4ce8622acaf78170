"""One module for each notebook, named after its slug."""
