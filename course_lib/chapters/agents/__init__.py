"""What belongs to the chapter “Agents” and to no other."""
