"""What belongs to the chapter “Compression” and to no other."""
