"""Map the batch functions over files and merge what comes out."""
