"""Our training steps against PyTorch's: `python -m tests.benchmarks`, see README.md."""
