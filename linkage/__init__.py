"""Find coordinated accounts in LLM API logs, spare the innocent look-alikes, and say why in both cases."""
