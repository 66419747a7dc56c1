"""Who is this: app passwords, second factor, the store and the gate. Never imports config or proxy."""
