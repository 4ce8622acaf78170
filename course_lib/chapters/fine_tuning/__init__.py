"""What belongs to the chapter “Fine-tuning” and to no other."""
