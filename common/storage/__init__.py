"""What leaves memory: whole files, weights, checkpoints; pickles that are read, never executed."""
