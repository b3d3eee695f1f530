"""FIX sessions against other engines, and drills that kill either side."""
