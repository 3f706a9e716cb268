"""Job scripts for Slurm and PBS: the files of the folder ``jobs/``, filled in for an input."""
