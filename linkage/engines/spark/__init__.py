"""The Spark engine: the batch functions of intake over logs that outgrow one machine, and a folder of what comes of it.

``folder`` and ``taking`` need no Spark: any machine takes a finished folder into its store.
"""
