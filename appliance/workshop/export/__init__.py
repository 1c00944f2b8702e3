"""All that a workshop has, as a folder that outlives this software."""
