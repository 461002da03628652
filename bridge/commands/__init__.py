"""The sub-commands: what an operator asks of the bridge at a terminal. Each returns its exit status."""
