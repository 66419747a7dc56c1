"""One serving process: what stands behind, what listens, how it is started and taken down. No protocol."""
