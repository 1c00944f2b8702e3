"""The screens: one module and one KV file each. They show a model's state and call its methods."""
