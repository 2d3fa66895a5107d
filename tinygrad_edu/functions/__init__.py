"""Functions of tensors that are compositions of ops, or that no gradient flows through."""
