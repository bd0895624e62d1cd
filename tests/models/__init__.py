"""Networks, blocks and layers that several tests use."""
