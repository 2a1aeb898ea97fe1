"""A page to draw on and a call for programs, both over HTTP, of what a run has learned."""
