"""What each address of the portal shows and does, one module a subject, each with its table `ROUTES`."""
