"""Links to graph, communities, verdicts, explanations and lasting ids."""
