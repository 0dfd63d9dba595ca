"""Files of scans and images: readers that trust nothing, and writers that leave whole files."""
