"""Other tools beside this one, where they are installed: `python -m benchmarks.peers [NAME ...]`."""
