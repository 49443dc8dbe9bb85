"""What leaves the building: reports, tables, graph files and plots."""
