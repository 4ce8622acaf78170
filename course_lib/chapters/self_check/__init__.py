"""What belongs to the chapter “Self-check” and to no other."""
