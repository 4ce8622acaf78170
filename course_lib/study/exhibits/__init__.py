"""What several chapters show with the course's own model and its measurements."""
