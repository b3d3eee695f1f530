"""What came out of a run, and why: the Run, its frames, traces, comparisons and looks."""
