"""The floor that knows the job and remembers it: profiles, plans, jobs, backups, records."""
