"""What comes in and what is stored."""
