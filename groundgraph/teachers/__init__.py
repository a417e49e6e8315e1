"""The two teachers and how their targets become one (Eq. 6-13)."""
