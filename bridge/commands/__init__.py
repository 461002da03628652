"""The sub-commands of the command line. Each returns its exit status."""
