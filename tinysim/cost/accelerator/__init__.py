"""Cost of neural-network accelerators: closed forms, vectorised over layers and over configurations."""
