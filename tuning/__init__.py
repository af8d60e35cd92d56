"""Decision heads and how they are trained: what the paper's authors found, and the search for better ones."""
