"""Many models, each converted with the default rules and checked; `python -m benchmarks.models`."""
