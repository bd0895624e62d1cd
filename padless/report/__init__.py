"""What was wasted, what is left, what it costs. Each module is imported by itself: those on hardware need no torch."""
