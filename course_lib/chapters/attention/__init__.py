"""What belongs to the chapter “Attention” and to no other."""
