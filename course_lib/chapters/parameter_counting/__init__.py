"""What belongs to the chapter “Counting parameters” and to no other."""
