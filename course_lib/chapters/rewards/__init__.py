"""What belongs to the chapter “Rewards” and to no other."""
