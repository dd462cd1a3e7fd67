"""Work divided between the cores of one machine: rows of arrays, samples of a batch."""
