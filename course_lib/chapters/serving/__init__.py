"""What belongs to the chapter “Serving” and to no other."""
