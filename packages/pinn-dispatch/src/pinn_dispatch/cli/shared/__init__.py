"""What several commands do: read settings and quantities, write results, tell a person."""
