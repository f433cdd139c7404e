"""What the library costs, as ratios measured interleaved in one process; `make bench`."""
