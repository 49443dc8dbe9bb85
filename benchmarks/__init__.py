"""Speed and quality of this tool beside named peers, measured on one machine in one run."""
