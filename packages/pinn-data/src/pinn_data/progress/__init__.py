"""What a run reports while it works, and how a person sees it."""
